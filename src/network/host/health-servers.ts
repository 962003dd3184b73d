/** A small HTTP server a health check node port, for as long as its service has it. Every path has the same answer. */
import type { Server } from 'node:http'
import type { Log } from '../../base/log.ts'
import type { HealthCheck } from '../health-check.ts'

/** Not imported: that would read every export, and load `fetch` and its friends for those that are made when asked for (30 ms, 10 MB). */
const http = process.getBuiltinModule('node:http')

const REQUEST_TIMEOUT_MS = 5_000
const MAX_CONNECTIONS = 64

export interface HealthServers {
  /** By the service's key; undefined ends it. */
  set(key: string, check: HealthCheck | undefined): void
  close(): void
}

export function createHealthServers({ log, host }: { readonly log: Log; readonly host: string }): HealthServers {
  const servers = new Map<string, { check: HealthCheck; readonly server: Server }>()

  function end(key: string): void {
    const running = servers.get(key)
    servers.delete(key)
    running?.server.close()
    running?.server.closeAllConnections()
  }

  function begin(key: string, check: HealthCheck): void {
    const server = http.createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS }, (_, response) => {
      const { status, headers, body } = running.check
      response.writeHead(status, { ...headers, Connection: 'close' }).end(body)
    })
    const running = { check, server }
    server.maxConnections = MAX_CONNECTIONS
    server.on('error', (error) => {
      log.warn('cannot serve a health check node port', { service: key, port: check.port, error })
      // The next change of the service tries again.
      if (servers.get(key) === running) servers.delete(key)
    })
    server.listen(check.port, host)
    servers.set(key, running)
  }

  return {
    set(key, check) {
      const running = servers.get(key)
      if (running && running.check.port === check?.port) running.check = check
      else {
        end(key)
        if (check) begin(key, check)
      }
    },
    close() {
      for (const key of servers.keys()) end(key)
    },
  }
}
