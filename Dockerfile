# docker build -t engram .                        learner, evaluator, producer, API and web page
# docker build -t engram:gpu --target gpu .       the trainer, with torch and CUDA
FROM python:3.12-slim AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/engram
ENV PATH=/opt/engram/bin:$PATH
WORKDIR /src

# Dependencies first: they change less often than the code.
COPY requirements/page.txt requirements/page.txt
RUN pip install --require-hashes -r requirements/page.txt

COPY pyproject.toml README.md LICENSE ./
COPY eventlog eventlog
COPY producers producers
COPY online_models online_models
COPY evaluation evaluation
COPY batch_models batch_models
COPY consumers consumers
COPY serving serving
COPY chaos chaos
COPY peers peers
COPY engram engram
RUN pip install --no-deps --no-build-isolation .

FROM builder AS gpu-builder
COPY requirements/batch.txt requirements/batch.txt
RUN pip install --require-hashes -r requirements/batch.txt

FROM python:3.12-slim AS runtime
# The root file system is read-only: what is written goes to a volume or to /tmp.
ENV PATH=/opt/engram/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/engram MPLCONFIGDIR=/tmp/matplotlib HOME=/var/lib/engram
# A new volume takes the owner of the folder that it is mounted on.
RUN groupadd --gid 10001 engram \
 && useradd --uid 10001 --gid 10001 --no-log-init --home-dir /var/lib/engram --shell /usr/sbin/nologin engram \
 && install -d -o engram -g engram /var/lib/engram /var/lib/registry /var/cache/engram
USER 10001:10001
WORKDIR /var/lib/engram
VOLUME ["/var/lib/engram", "/var/cache/engram"]
ENTRYPOINT ["engram"]
CMD ["--help"]

FROM runtime AS gpu
# nvidia-smi comes with the container runtime, for the metrics of the GPU.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-builder /opt/engram /opt/engram

FROM runtime AS cpu
COPY --from=builder /opt/engram /opt/engram
