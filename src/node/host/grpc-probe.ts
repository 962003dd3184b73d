/**
 * The gRPC probe: asks the health service of the gRPC health checking protocol (grpc.health.v1.Health/Check) over a connection in
 * the clear, as upstream's kubelet does; certificates are not supported there either. The library is loaded at the first such probe.
 */
import type * as Grpc from '@grpc/grpc-js'
import { isIPv6 } from 'node:net'
import type { GrpcHealth } from '../host.ts'

const CHECK = '/grpc.health.v1.Health/Check'
/** HealthCheckResponse.ServingStatus by number. */
const STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const
const FIELD_1_TEXT = 0x0a
const FIELD_1_NUMBER = 0x08
/** Of a service's name: its length is written in one byte or two. */
const MAX_SERVICE_BYTES = 16_383

/** HealthCheckRequest: `string service = 1`. */
export function healthRequest(service: string): Buffer {
  const text = Buffer.from(service, 'utf8')
  if (text.length === 0) return text
  if (text.length > MAX_SERVICE_BYTES) throw new Error(`the service name is longer than ${MAX_SERVICE_BYTES} bytes`)
  const length = text.length < 128 ? [text.length] : [(text.length & 127) | 128, text.length >> 7]
  return Buffer.concat([Buffer.from([FIELD_1_TEXT, ...length]), text])
}

/** HealthCheckResponse: `ServingStatus status = 1`, absent when it is UNKNOWN. */
export function healthStatus(message: Buffer): string {
  const number = message[0] === FIELD_1_NUMBER ? message[1]! : 0
  return STATUSES[number] ?? String(number)
}

export async function probeGrpc(host: string, port: number, service: string, timeoutMs: number): Promise<GrpcHealth> {
  const grpc = await import('@grpc/grpc-js')
  const address = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
  const deadline = Date.now() + timeoutMs
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    'grpc.primary_user_agent': 'kube-probe/1.36',
    // A probe has its own rhythm: nothing is shared with the one before, which may have met another process.
    'grpc.use_local_subchannel_pool': 1,
  })
  try {
    const refusal = await new Promise<Error | undefined>((resolve) => client.waitForReady(deadline, resolve))
    const within = `${timeoutMs / 1000}s`
    if (refusal) return { error: `timeout: failed to connect service "${address}" within ${within}: context deadline exceeded` }
    return await check(client, grpc.status, service, deadline, within)
  } finally {
    client.close()
  }
}

/** As Go prints codes: NOT_FOUND is NotFound there, CANCELLED is Canceled. */
const goName = (code: string): string =>
  code === 'CANCELLED' ? 'Canceled' : code.toLowerCase().replaceAll(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase())

function check(client: Grpc.Client, codes: typeof Grpc.status, service: string, deadline: number, within: string): Promise<GrpcHealth> {
  const answered = (error: Grpc.ServiceError | null, status: string | undefined): GrpcHealth => {
    if (!error) return { status: status ?? 'UNKNOWN' }
    if (error.code === codes.UNIMPLEMENTED)
      return { error: `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${error.details}` }
    if (error.code === codes.DEADLINE_EXCEEDED) return { error: `timeout: health rpc did not complete within ${within}` }
    return { error: `error: health rpc probe failed: rpc error: code = ${goName(codes[error.code])} desc = ${error.details}` }
  }
  return new Promise((resolve) => {
    client.makeUnaryRequest(CHECK, healthRequest, healthStatus, service, { deadline }, (error, status) => resolve(answered(error, status)))
  })
}
