/**
 * The socket at which device plugins register (v1beta1 of the device plugin API), and the plugins at theirs. A plugin sees by the socket
 * being made anew that the agent began again, and registers once more.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import type * as Grpc from '@grpc/grpc-js'
import type * as ProtoLoader from '@grpc/proto-loader'
import { qualifiedNameFaults } from '../../api/names.ts'
import type { Log } from '../../base/log.ts'
import { parseProto } from '../../grpc/proto-text.ts'
import type { DeviceGrant, DevicePlugin, DevicePluginEvents } from '../devices/device-manager.ts'

/** k8s.io/kubelet pkg/apis/deviceplugin/v1beta1: names and field numbers are facts of that interface. */
export const DEVICE_PLUGIN_PROTO = `
package v1beta1
service Registration {
  Register(RegisterRequest) Empty
}
service DevicePlugin {
  ListAndWatch(Empty) stream ListAndWatchResponse
  Allocate(AllocateRequest) AllocateResponse
  PreStartContainer(PreStartContainerRequest) Empty
}
message Empty {
}
message DevicePluginOptions { bool pre_start_required = 1; bool get_preferred_allocation_available = 2 }
message RegisterRequest { string version = 1; string endpoint = 2; string resource_name = 3; DevicePluginOptions options = 4 }
message ListAndWatchResponse { repeated Device devices = 1 }
message Device { string ID = 1; string health = 2 }
message PreStartContainerRequest { repeated string devices_ids = 1 }
message AllocateRequest { repeated ContainerAllocateRequest container_requests = 1 }
message ContainerAllocateRequest { repeated string devices_ids = 1 }
message AllocateResponse { repeated ContainerAllocateResponse container_responses = 1 }
message ContainerAllocateResponse {
  map<string,string> envs = 1; repeated Mount mounts = 2; repeated DeviceSpec devices = 3; map<string,string> annotations = 4
  repeated CDIDevice cdi_devices = 5
}
message Mount { string container_path = 1; string host_path = 2; bool read_only = 3 }
message DeviceSpec { string container_path = 1; string host_path = 2; string permissions = 3 }
message CDIDevice { string name = 1 }
`
const VERSION = 'v1beta1'
const SOCKET = 'kubelet.sock'
const CALL_TIMEOUT_MS = 30_000
const INVALID_ARGUMENT = 3

interface RegisterRequest {
  readonly version: string
  readonly endpoint: string
  readonly resource_name: string
  readonly options: { readonly pre_start_required: boolean } | null
}

interface AllocateResponse {
  readonly container_responses: readonly {
    readonly envs: Record<string, string>
    readonly mounts: readonly { readonly container_path: string; readonly host_path: string; readonly read_only: boolean }[]
    readonly devices: readonly { readonly container_path: string; readonly host_path: string; readonly permissions: string }[]
    readonly annotations: Record<string, string>
    readonly cdi_devices: readonly { readonly name: string }[]
  }[]
}

/** Serves until the signal aborts. Resolves at once, having told why, when somebody else serves there. */
export async function serveDevicePlugins(directory: string, events: DevicePluginEvents, log: Log, signal: AbortSignal): Promise<void> {
  const socket = join(directory, SOCKET)
  if (await isAnswered(socket)) {
    log.warn('another kubelet serves device plugins on this machine; this node has none', { socket })
    return
  }
  mkdirSync(directory, { recursive: true, mode: 0o750 })
  // Of an earlier life: plugins make theirs anew when they register.
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isSocket()) rmSync(join(directory, entry.name), { force: true })
  const [grpc, { fromJSON }] = await Promise.all([import('@grpc/grpc-js'), import('@grpc/proto-loader')])
  const definitions = fromJSON(parseProto(DEVICE_PLUGIN_PROTO) as Parameters<typeof ProtoLoader.fromJSON>[0], {
    keepCase: true,
    defaults: true,
  })
  const registration = definitions['v1beta1.Registration'] as Grpc.ServiceDefinition
  const methods = definitions['v1beta1.DevicePlugin'] as Grpc.ServiceDefinition
  const server = new grpc.Server()
  server.addService(registration, {
    Register(call: Grpc.ServerUnaryCall<RegisterRequest, object>, answer: Grpc.sendUnaryData<object>) {
      const fault = faultOf(call.request)
      if (fault !== undefined) {
        log.warn('a device plugin was refused', { resource: call.request.resource_name, reason: fault })
        answer({ code: INVALID_ARGUMENT, details: fault })
        return
      }
      answer(null, {})
      log.info('a device plugin registered', { resource: call.request.resource_name, endpoint: call.request.endpoint })
      follow(grpc, methods, join(directory, call.request.endpoint), call.request, events, log, signal)
    },
  })
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())),
  )
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  server.forceShutdown()
  rmSync(socket, { force: true })
}

/** Whether somebody serves at a unix socket. */
export const isAnswered = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createConnection(socket)
    probe.once('error', () => resolve(false))
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
  })

/** In the words of upstream's server. */
function faultOf({ version, endpoint, resource_name: resource }: RegisterRequest): string | undefined {
  if (version !== VERSION) return `requested API version "${version}" is not supported by kubelet. Supported version is "${VERSION}"`
  const isExtended = resource.includes('/') && !resource.startsWith('requests.') && !/^(.*\.)?kubernetes\.io\//.test(resource)
  if (!isExtended || qualifiedNameFaults(resource).length > 0) return `the ResourceName "${resource}" is invalid`
  return endpoint === '' || endpoint.includes('/') || endpoint === SOCKET ? `the endpoint "${endpoint}" is invalid` : undefined
}

/** Listens to a plugin as long as it is there. */
function follow(
  grpc: typeof Grpc,
  methods: Grpc.ServiceDefinition,
  socket: string,
  { resource_name: resource, options }: RegisterRequest,
  events: DevicePluginEvents,
  log: Log,
  signal: AbortSignal,
): void {
  const client = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure())
  const call = <T>(name: string, request: object): Promise<T> => {
    const { path, requestSerialize, responseDeserialize } = methods[name]!
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + CALL_TIMEOUT_MS
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, (error, answer) =>
        error ? reject(new Error(error.message)) : resolve(answer as T),
      )
    })
  }
  const plugin: DevicePlugin = {
    async allocate(ids) {
      const { container_responses: answers } = await call<AllocateResponse>('Allocate', { container_requests: [{ devices_ids: ids }] })
      if (answers.length === 0) throw new Error(`No containers return in allocation response ${JSON.stringify(answers)}`)
      return grantOf(answers[0]!)
    },
    ...(options?.pre_start_required ? { preStart: async (ids) => void (await call('PreStartContainer', { devices_ids: ids })) } : {}),
  }
  events.registered(resource, plugin)
  const { path, requestSerialize, responseDeserialize } = methods['ListAndWatch']!
  const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {})
  const end = () => stream.cancel()
  signal.addEventListener('abort', end, { once: true })
  stream.on('data', ({ devices }: { readonly devices: readonly { readonly ID: string; readonly health: string }[] }) =>
    events.listed(
      resource,
      devices.map(({ ID, health }) => ({ id: ID, isHealthy: health === 'Healthy' })),
    ),
  )
  stream.on('error', (error) => {
    if (!signal.aborted) log.warn('a device plugin is gone', { resource, error: error.message })
  })
  stream.on('close', () => {
    signal.removeEventListener('abort', end)
    client.close()
    events.lost(resource, plugin)
  })
}

const grantOf = (answer: AllocateResponse['container_responses'][number]): DeviceGrant => ({
  env: answer.envs,
  mounts: answer.mounts.map((mount) => ({ containerPath: mount.container_path, hostPath: mount.host_path, readonly: mount.read_only })),
  devices: answer.devices.map((device) => ({
    containerPath: device.container_path,
    hostPath: device.host_path,
    permissions: device.permissions,
  })),
  annotations: answer.annotations,
  cdiDevices: answer.cdi_devices.map(({ name }) => name),
})
