"""The reader and the writer of weight files, for every network. Nothing that is read here can run code.

Our files are .safetensors with a JSON object in their metadata, under the key of the kind of network: "config",
"checksums" (CRC-32 of every tensor as stored) and, in a delta, "base" (its name) and "base_checksums" (CRC-32 of every
tensor that the delta relies on, in 16 bit). Older files have no checksums, or the config alone; they load as they are.

`config` checks what a file says of its network, `files` reads tensors and metadata, `networks` puts both into a
network and writes them, `hub` finds models of transformers.
"""
