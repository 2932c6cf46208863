# The platform: API, page, follower of the stream. Build: docker build -t agentflow .
FROM python:3.11-slim-bookworm AS build
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /usr/local/bin/uv
WORKDIR /app
COPY pyproject.toml uv.lock README.md ./
COPY sdk ./sdk
COPY src ./src
RUN uv sync --frozen --no-dev --no-editable

FROM python:3.11-slim-bookworm
RUN useradd --system --home-dir /var/lib/agentflow --create-home agentflow
COPY --from=build /app/.venv /app/.venv
COPY contracts /app/contracts
ENV PATH=/app/.venv/bin:$PATH \
    AGENTFLOW_HOST=0.0.0.0 \
    AGENTFLOW_CONTRACTS_DIR=/app/contracts \
    AGENTFLOW_DATA_DIR=/var/lib/agentflow/data
USER agentflow
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v1/health/ready', timeout=2)"]
ENTRYPOINT ["agentflow"]
CMD ["up"]
