# The programs and nothing else. `docker run IMAGE` is the worker; fakehour and enqueue are there by name.
FROM --platform=$BUILDPLATFORM golang:1.26-alpine AS build
WORKDIR /src
COPY . .
ARG VERSION=dev
ARG TARGETOS
ARG TARGETARCH
# Without cgo and -trimpath the programs need no C library, and the same source gives the same bytes.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags "-s -w -X github.com/seed-290c2414/hourglass/internal/settings.version=$VERSION" \
    -o /out/ ./cmd/worker ./cmd/enqueue ./cmd/fakehour

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /usr/local/bin/
ENV PATH=/usr/local/bin
# A number: Kubernetes' runAsNonRoot can't read names here.
USER 65532:65532
# /livez, /readyz and /metrics, where HOURGLASS_HTTP_ADDR says :8420.
EXPOSE 8420
# No HEALTHCHECK: fakehour and enqueue are in here as well. Of a worker it is [CMD, worker, healthcheck].
CMD ["worker"]
