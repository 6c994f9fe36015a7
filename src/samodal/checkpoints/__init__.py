"""The reader and the writer of weight files, for every network. Nothing that is read here can run code.

`config` checks what a file says of its network, `files` reads tensors and metadata, `networks` puts both into a
network and writes them, `hub` finds models of transformers.
"""
