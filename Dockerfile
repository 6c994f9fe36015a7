# samodal for a CPU, offline at run time:
#   docker build -t samodal . && docker run --rm -v "$PWD:/work" samodal run drive.mp4
# With an NVIDIA card: docker build --build-arg TORCH="torch==2.13.0" -t samodal . && docker run --gpus all …
FROM python:3.12-slim

ARG TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
RUN pip install --no-cache-dir --no-compile ${TORCH}

COPY pyproject.toml README.md LICENSE /samodal/
COPY docs /samodal/docs
COPY src /samodal/src
RUN pip install --no-cache-dir --no-compile /samodal && samodal doctor

RUN useradd --create-home user
USER user
WORKDIR /work
ENTRYPOINT ["samodal"]
CMD ["--help"]
