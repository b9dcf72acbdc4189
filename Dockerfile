FROM python:3.12-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY projector projector
COPY webhook webhook
COPY migrations migrations
RUN pip install --no-cache-dir ".[kinesis]" && useradd --system projector
USER projector
ENTRYPOINT ["projector"]
