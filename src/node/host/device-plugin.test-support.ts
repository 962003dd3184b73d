/** A device plugin for tests, as its authors write it: a gRPC server at a socket, registered at the node's. */
import * as grpc from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { parseProto } from '../../grpc/proto-text.ts'
import { DEVICE_PLUGIN_PROTO } from './device-plugins.ts'

const definitions = fromJSON(parseProto(DEVICE_PLUGIN_PROTO) as Parameters<typeof fromJSON>[0], { keepCase: true, defaults: true })

/** Offers the devices "a", which is well, and "b", which is not until `tell` says so; "bad" cannot be given, and "cdi" is one of the Container Device Interface. */
export async function startPlugin(socket: string) {
  const server = new grpc.Server()
  const streams: grpc.ServerWritableStream<object, object>[] = []
  const calls: string[] = []
  server.addService(definitions['v1beta1.DevicePlugin'] as grpc.ServiceDefinition, {
    ListAndWatch(stream: grpc.ServerWritableStream<object, object>) {
      streams.push(stream)
      stream.write({
        devices: [
          { ID: 'a', health: 'Healthy' },
          { ID: 'b', health: 'Unhealthy' },
        ],
      })
    },
    Allocate(call: grpc.ServerUnaryCall<{ container_requests: { devices_ids: string[] }[] }, object>, answer: grpc.sendUnaryData<object>) {
      const ids = call.request.container_requests[0]!.devices_ids
      calls.push(`allocate ${ids.join()}`)
      if (ids.includes('bad')) {
        answer({ code: 13, details: 'that one is broken' })
        return
      }
      const device = { container_path: '/dev/foo', host_path: '/dev/null', permissions: 'rw' }
      const mount = { container_path: '/lib/foo', host_path: '/etc', read_only: true }
      const cdi = ids.filter((id) => id === 'cdi').map((id) => ({ name: `example.com/foo=${id}` }))
      answer(null, {
        container_responses: [{ envs: { FOO: ids.join() }, devices: [device], mounts: [mount], annotations: { a: 'b' }, cdi_devices: cdi }],
      })
    },
    PreStartContainer(call: grpc.ServerUnaryCall<{ devices_ids: string[] }, object>, answer: grpc.sendUnaryData<object>) {
      calls.push(`start ${call.request.devices_ids.join()}`)
      answer(null, {})
    },
  })
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  )
  return { calls, tell: (devices: object) => streams[0]!.write(devices), stop: () => server.forceShutdown() }
}

/** Resolves with "yes", or why not. */
export async function registerPlugin(socket: string, request: object): Promise<string> {
  const client = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure())
  const { path, requestSerialize, responseDeserialize } = (definitions['v1beta1.Registration'] as grpc.ServiceDefinition)['Register']!
  try {
    return await new Promise<string>((resolve) =>
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error) => resolve(error?.details ?? 'yes')),
    )
  } finally {
    client.close()
  }
}
