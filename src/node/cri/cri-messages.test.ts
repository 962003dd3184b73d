import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromJSON } from '@grpc/proto-loader'
import type { ServiceDefinition } from '@grpc/grpc-js'
import type { SandboxConfig, SecurityContext } from '../container-runtime.ts'
import { containerStatusOf, imageOf, millisecondsOf, sandboxStatusOf } from './cri-answers.ts'
import { CONTAINERD_EVENTS_PROTO, CRI_PROTO } from './cri-proto.ts'
import { containerMessage, sandboxMessage } from './cri-requests.ts'
import { parseProto } from '../../grpc/proto-text.ts'

const security: SecurityContext = {
  namespaces: { network: 'POD', pid: 'CONTAINER', ipc: 'NODE' },
  privileged: true,
  runAsUser: 0,
  supplementalGroups: [5],
  readonlyRootfs: true,
  noNewPrivileges: true,
  addCapabilities: ['NET_ADMIN'],
  dropCapabilities: ['ALL'],
  seccomp: { type: 'Localhost', localhostRef: 'x.json' },
  maskedPaths: ['/proc/kcore'],
  readonlyPaths: ['/proc/sys'],
}

const sandbox: SandboxConfig = {
  metadata: { name: 'a', namespace: 'n', uid: 'u', attempt: 2 },
  hostname: 'a',
  logDirectory: '/logs',
  dns: { servers: ['10.0.0.10'], searches: ['s'], options: ['ndots:5'] },
  portMappings: [{ protocol: 'UDP', containerPort: 53, hostPort: 5353, hostIP: '127.0.0.1' }],
  labels: { l: '1' },
  annotations: { a: '2' },
  linux: { cgroupParent: '/kubepods/x', sysctls: { 'net.core.somaxconn': '9' }, security },
}

/** What survives the wire: encoded and decoded again by the library with our definitions. */
function overTheWire(method: string, request: object): Record<string, unknown> {
  type Definitions = Parameters<typeof fromJSON>[0]
  const definitions = fromJSON(parseProto(CRI_PROTO) as Definitions, { keepCase: true, longs: String, enums: String, bytes: Buffer })
  const { requestSerialize, requestDeserialize } = (definitions['runtime.v1.RuntimeService'] as ServiceDefinition)[method]!
  return requestDeserialize(requestSerialize(request)) as Record<string, unknown>
}

test('a sandbox goes over the wire with all that it has', () => {
  assert.deepEqual(JSON.parse(JSON.stringify(overTheWire('RunPodSandbox', { config: sandboxMessage(sandbox), runtime_handler: 'h' }))), {
    config: {
      metadata: { name: 'a', uid: 'u', namespace: 'n', attempt: 2 },
      hostname: 'a',
      log_directory: '/logs',
      dns_config: { servers: ['10.0.0.10'], searches: ['s'], options: ['ndots:5'] },
      port_mappings: [{ protocol: 'UDP', container_port: 53, host_port: 5353, host_ip: '127.0.0.1' }],
      labels: { l: '1' },
      annotations: { a: '2' },
      linux: {
        cgroup_parent: '/kubepods/x',
        security_context: {
          namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'NODE' },
          // Root, which must not look like "nobody said".
          run_as_user: { value: '0' },
          readonly_rootfs: true,
          supplemental_groups: ['5'],
          privileged: true,
          seccomp: { profile_type: 'Localhost', localhost_ref: 'x.json' },
        },
        sysctls: { 'net.core.somaxconn': '9' },
      },
    },
    runtime_handler: 'h',
  })
})

test('a container goes over the wire with all that it has', () => {
  const message = containerMessage({
    metadata: { name: 'c', attempt: 1 },
    imageId: 'sha256:1',
    command: ['/a'],
    args: ['b'],
    workingDir: '/w',
    env: [{ key: 'K', value: 'ü' }],
    mounts: [{ containerPath: '/c', hostPath: '/h', readonly: true, propagation: 'HOST_TO_CONTAINER' }],
    labels: {},
    annotations: {},
    logPath: 'c/1.log',
    stdin: true,
    stdinOnce: true,
    tty: true,
    resources: { cpuPeriod: 100_000, cpuQuota: 50_000, cpuShares: 512, memoryLimitBytes: 5_000_000_000, oomScoreAdj: -997 },
    security,
  })
  assert.deepEqual(JSON.parse(JSON.stringify(overTheWire('CreateContainer', { config: message }))), {
    config: {
      metadata: { name: 'c', attempt: 1 },
      image: { image: 'sha256:1' },
      command: ['/a'],
      args: ['b'],
      working_dir: '/w',
      envs: [{ key: 'K', value: 'ü' }],
      mounts: [{ container_path: '/c', host_path: '/h', readonly: true, propagation: 'PROPAGATION_HOST_TO_CONTAINER' }],
      log_path: 'c/1.log',
      stdin: true,
      stdin_once: true,
      tty: true,
      linux: {
        resources: {
          cpu_period: '100000',
          cpu_quota: '50000',
          cpu_shares: '512',
          memory_limit_in_bytes: '5000000000',
          oom_score_adj: '-997',
        },
        security_context: {
          capabilities: { add_capabilities: ['NET_ADMIN'], drop_capabilities: ['ALL'] },
          privileged: true,
          namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'NODE' },
          run_as_user: { value: '0' },
          run_as_username: '',
          readonly_rootfs: true,
          supplemental_groups: ['5'],
          no_new_privs: true,
          masked_paths: ['/proc/kcore'],
          readonly_paths: ['/proc/sys'],
          seccomp: { profile_type: 'Localhost', localhost_ref: 'x.json' },
        },
      },
    },
  })
})

test('answers are translated', () => {
  const common = { id: 'i', labels: {}, annotations: {}, created_at: '1795499601385123456' }
  const metadata = { name: 'a', namespace: 'n', uid: 'u', attempt: 1 }
  const status = sandboxStatusOf({
    ...common,
    metadata,
    state: 'SANDBOX_NOTREADY',
    network: { ip: '10.0.0.1', additional_ips: [{ ip: 'fd00::1' }] },
  })
  assert.deepEqual([status.ips, status.isReady, status.createdAtMs], [['10.0.0.1', 'fd00::1'], false, 1_795_499_601_385])
  const wire = { started_at: '0', finished_at: '0', exit_code: 0, image: null, image_ref: '', reason: '', message: '', log_path: '' }
  assert.equal(containerStatusOf({ ...common, ...wire, metadata, state: 'CONTAINER_CREATED' }).startedAtMs, 0)
  assert.equal(millisecondsOf('9999999'), 9)
  const image = { id: 's', repo_tags: [], repo_digests: [], size: '5000000000', username: '', pinned: false }
  assert.deepEqual(imageOf({ ...image, uid: { value: '0' } }), { id: 's', tags: [], digests: [], sizeBytes: 5_000_000_000, uid: 0 })
  assert.deepEqual(imageOf({ ...image, uid: null, username: 'web' }), {
    id: 's',
    tags: [],
    digests: [],
    sizeBytes: 5_000_000_000,
    username: 'web',
  })
})

test('the shorthand of protobuf says what is wrong with it', () => {
  assert.throws(() => parseProto('message A { string a }'), /names no package/)
  assert.throws(() => parseProto('package a\nmessage A { string a }'), /not a protobuf field: string a/)
  assert.throws(() => parseProto('package a\nenum A { B }'), /not a protobuf enum value: B/)
  assert.throws(() => parseProto('package a\nservice A { B C }'), /not a protobuf method: B C/)
  assert.deepEqual(Object.keys(parseProto(CONTAINERD_EVENTS_PROTO).nested), ['containerd'])
})
