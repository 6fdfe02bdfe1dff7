# docker build -t engram .
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 \
    NUMBA_CACHE_DIR=/var/lib/engram/kernels
WORKDIR /opt/engram

# Dependencies first: they change less often than the code.
COPY requirements/core.txt requirements/core.txt
RUN pip install --require-hashes -r requirements/core.txt

COPY pyproject.toml README.md LICENSE ./
COPY eventlog eventlog
COPY producers producers
COPY online_models online_models
COPY evaluation evaluation
COPY batch_models batch_models
COPY consumers consumers
COPY serving serving
COPY chaos chaos
COPY engram engram
RUN pip install --no-deps --no-build-isolation . \
 && useradd --system --home-dir /var/lib/engram --create-home engram

USER engram
WORKDIR /var/lib/engram
VOLUME /var/lib/engram
ENTRYPOINT ["engram"]
CMD ["--help"]
