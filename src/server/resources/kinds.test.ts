import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../base/random.ts'
import type { KubeObject } from '../../api/object.ts'
import { createAdmission } from '../admission/index.ts'
import type { Resource } from '../resource.ts'
import { startServer } from '../server.test-support.ts'
import { autoscalerFromV1, autoscalerToV1 } from './autoscaling/horizontal-pod-autoscaler-conversion.ts'
import { scheduleProblem } from '../../api/cron-schedule.ts'
import { eventFromEventsV1, eventToEventsV1 } from './core/event-conversion.ts'
import { imageTag } from './core/pod-spec-defaults.ts'
import { humanDuration } from './duration.ts'
import type { ApiServerOptions } from '../api-server.ts'
import { createServiceAllocator, resources, resourcesWith } from './index.ts'
import { claimFromBeta, claimToBeta } from './resource/device-request-conversion.ts'

const NOW = Date.parse('2026-01-01T01:00:00Z')
const kind = (name: string): Resource => {
  const found = resources.find((resource) => resource.kind === name)
  assert.ok(found, name)
  return found
}
const row = (name: string, object: KubeObject) =>
  Object.fromEntries((kind(name).columns ?? []).map((column) => [column.name, column.cell(object, NOW)]))
const faults = (name: string, object: KubeObject) => {
  const { setDefaults = (same: KubeObject) => same, validate } = kind(name)
  return (validate?.(setDefaults(object)) ?? []).map(({ field, detail }) => `${field}: ${detail}`)
}

const admission: ApiServerOptions['admission'] = (registry, authorizer) =>
  createAdmission({ registry, authorizer, create: async () => {}, dynamic: [] })

test('durations are told as kubectl tells them', () => {
  const table: [number, string][] = [
    [-5, '<invalid>'],
    [-1, '0s'],
    [0, '0s'],
    [119, '119s'],
    [120, '2m'],
    [599, '9m59s'],
    [600, '10m'],
    [10_799, '179m'],
    [10_800, '3h'],
    [3600 * 7 + 120, '7h2m'],
    [3600 * 8, '8h'],
    [3600 * 48, '2d'],
    [3600 * 49, '2d1h'],
    [86_400 * 8, '8d'],
    [86_400 * 365 * 2, '2y'],
    [86_400 * (365 * 2 + 1), '2y1d'],
    [86_400 * 365 * 9, '9y'],
  ]
  for (const [seconds, text] of table) assert.equal(humanDuration(seconds * 1000), text, String(seconds))
})

test('the tag of an image decides how it is pulled', () => {
  const table: [string, string][] = [
    ['nginx', 'latest'],
    ['nginx:1.2', '1.2'],
    ['a:5000/b', 'latest'],
    ['a:5000/b:c', 'c'],
    ['a/b@sha256:ff', ''],
    ['a:t@sha256:ff', 't'],
    ['', ''],
    ['A/b', ''],
  ]
  for (const [image, tag] of table) assert.equal(imageTag(image), tag, image)
})

const running = { name: 'a', ready: true, restartCount: 0, state: { running: {} } }
const ended = (exitCode: number, reason?: string) => ({
  name: 'a',
  ready: false,
  restartCount: 0,
  state: { terminated: { exitCode, reason } },
})

test('STATUS of a pod', () => {
  const table: [string, KubeObject['status'], string, string][] = [
    ['phase alone', { phase: 'Pending' }, '0/1', 'Pending'],
    ['reason over phase', { phase: 'Failed', reason: 'Evicted' }, '0/1', 'Evicted'],
    ['running', { phase: 'Running', containerStatuses: [running] }, '1/1', 'Running'],
    [
      'waiting',
      { phase: 'Running', containerStatuses: [{ ...running, ready: false, state: { waiting: { reason: 'CrashLoopBackOff' } } }] },
      '0/1',
      'CrashLoopBackOff',
    ],
    ['ended well', { phase: 'Succeeded', containerStatuses: [ended(0, 'Completed')] }, '0/1', 'Completed'],
    ['exit code', { phase: 'Failed', containerStatuses: [ended(3)] }, '0/1', 'ExitCode:3'],
    [
      'gated',
      { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] },
      '0/1',
      'SchedulingGated',
    ],
  ]
  for (const [why, status, ready, word] of table) {
    const cells = row('Pod', { metadata: { name: 'p' }, spec: { containers: [{ name: 'a' }] }, status })
    assert.deepEqual([cells['Ready'], cells['Status']], [ready, word], why)
  }
  const spec = { containers: [{ name: 'a' }], initContainers: [{ name: 'i' }, { name: 'j' }] }
  const init = (state: object) =>
    row('Pod', {
      metadata: { name: 'p' },
      spec,
      status: { phase: 'Pending', initContainerStatuses: [{ name: 'i', restartCount: 2, state }] },
    })
  assert.equal(init({ running: {} })['Status'], 'Init:0/2')
  assert.equal(init({ terminated: { exitCode: 1 } })['Status'], 'Init:ExitCode:1')
  assert.equal(init({ waiting: { reason: 'ImagePullBackOff' } })['Status'], 'Init:ImagePullBackOff')
  const going = { metadata: { name: 'p', deletionTimestamp: '2026-01-01T00:00:00Z' }, spec, status: { phase: 'Running' } }
  assert.equal(row('Pod', going)['Status'], 'Terminating')
  const last = { terminated: { exitCode: 1, finishedAt: '2026-01-01T00:55:00Z' } }
  const restarted = { metadata: { name: 'p' }, spec, status: { containerStatuses: [{ ...running, restartCount: 3, lastState: last }] } }
  assert.equal(row('Pod', restarted)['Restarts'], '3 (5m ago)')
})

test('columns of other kinds', () => {
  const service = {
    metadata: { name: 's' },
    spec: { type: 'NodePort', clusterIPs: ['10.96.0.9'], ports: [{ port: 80, nodePort: 30001, protocol: 'TCP' }] },
  }
  assert.deepEqual(row('Service', service), {
    Name: 's',
    Type: 'NodePort',
    'Cluster-IP': '10.96.0.9',
    'External-IP': '<none>',
    'Port(s)': '80:30001/TCP',
    Age: '<unknown>',
    Selector: '<none>',
  })
  const node = {
    metadata: { name: 'n', labels: { 'node-role.kubernetes.io/worker': '' } },
    spec: { unschedulable: true },
    status: { conditions: [{ type: 'Ready', status: 'True' }] },
  }
  const cells = row('Node', node)
  assert.deepEqual([cells['Status'], cells['Roles'], cells['Internal-IP']], ['Ready,SchedulingDisabled', 'worker', '<none>'])
  assert.equal(kind('Event').columns?.[0]?.name, 'Last Seen')
  assert.equal(row('Deployment', { spec: { replicas: 3 }, status: { readyReplicas: 1 } })['Ready'], '1/3')
  assert.equal(
    row('PersistentVolume', { spec: { capacity: { storage: '1024Mi' }, accessModes: ['ReadWriteMany', 'ReadWriteOnce'] } })['Access Modes'],
    'RWO,RWX',
  )
})

test('defaults return the same object when nothing is missing', () => {
  const samples: [string, KubeObject][] = [
    [
      'Pod',
      {
        metadata: { name: 'p' },
        spec: {
          containers: [
            {
              name: 'c',
              image: 'a:1',
              resources: { limits: { cpu: '1' } },
              ports: [{ containerPort: 80 }],
              livenessProbe: { httpGet: { port: 1 } },
            },
          ],
          hostNetwork: true,
          volumes: [{ name: 'v' }],
        },
      },
    ],
    ['Deployment', { metadata: { name: 'd' }, spec: { template: { spec: { containers: [{ name: 'c', image: 'a' }] } } } }],
    [
      'StatefulSet',
      {
        metadata: { name: 'd' },
        spec: { volumeClaimTemplates: [{ metadata: { name: 'v' }, spec: {} }], template: { spec: { containers: [] } } },
      },
    ],
    ['Job', { metadata: { name: 'j' }, spec: { template: { metadata: { labels: { a: 'b' } }, spec: { containers: [] } } } }],
    ['Service', { metadata: { name: 's' }, spec: { type: 'LoadBalancer', ports: [{ port: 80 }], sessionAffinity: 'ClientIP' } }],
    ['Namespace', { metadata: { name: 'n' } }],
    ['HorizontalPodAutoscaler', { spec: { maxReplicas: 2, behavior: {} } }],
    ['ValidatingWebhookConfiguration', { webhooks: [{ name: 'a', rules: [{}], clientConfig: { service: {} } }] }],
  ]
  for (const [name, object] of samples) {
    const once = kind(name).setDefaults!(object)
    assert.notEqual(once, object, name)
    assert.equal(kind(name).setDefaults!(once), once, name)
  }
})

const pod = (spec: object, container: object = {}): KubeObject => ({
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'c', image: 'i', ...container }], ...spec },
})

test("pods are refused in upstream's words", () => {
  const table: [KubeObject, string][] = [
    [{ spec: { containers: [] } }, 'spec.containers: Required value'],
    [pod({}, { image: '' }), 'spec.containers[0].image: Required value'],
    [pod({}, { volumeMounts: [{ name: 'x', mountPath: '/x' }] }), 'spec.containers[0].volumeMounts[0].name: Not found: "x"'],
    [
      pod({}, { resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }),
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
    [pod({}, { ports: [{ containerPort: 0 }] }), 'spec.containers[0].ports[0].containerPort: Required value'],
    [
      pod({}, { ports: [{ containerPort: 70000 }] }),
      'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
    ],
    [
      pod({}, { env: [{ name: 'A=' }] }),
      'spec.containers[0].env[0].name: Invalid value: "A=": a valid environment variable name must consist only of printable ASCII characters other than \'=\'',
    ],
    [pod({}, { livenessProbe: {} }), 'spec.containers[0].livenessProbe: Required value: must specify a handler type'],
    [pod({ restartPolicy: 'Maybe' }), 'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"'],
    [pod({ activeDeadlineSeconds: 0 }), 'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive'],
    [
      pod({ tolerations: [{ key: 'a', effect: 'NoSchedule', tolerationSeconds: 1 }] }),
      'spec.tolerations[0].effect: Invalid value: "NoSchedule": effect must be \'NoExecute\' when `tolerationSeconds` is set',
    ],
    [pod({ volumes: [{ name: 'v', secret: {} }] }), 'spec.volumes[0].secret.secretName: Required value'],
    [pod({ dnsPolicy: 'None' }), 'spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
    [
      pod({ securityContext: { runAsUser: -1 } }),
      'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
    ],
  ]
  for (const [object, text] of table) assert.ok(faults('Pod', object).includes(text), `${text}\n${faults('Pod', object).join('\n')}`)
  assert.deepEqual(faults('Pod', pod({ serviceAccountName: 'default' })), [])
})

test('a pod changes little', () => {
  const { setDefaults, validateUpdate } = kind('Pod')
  const old = setDefaults!(pod({ tolerations: [{ key: 'a', operator: 'Exists' }] }))
  const update = (spec: object) => validateUpdate!({ ...old, spec: { ...old.spec, ...spec } }, old).map(({ detail }) => detail)
  assert.deepEqual(update({ containers: [{ ...old.spec.containers[0], image: 'other' }] }), [])
  assert.deepEqual(update({ tolerations: [...old.spec.tolerations, { key: 'b', operator: 'Exists' }] }), [])
  assert.match(update({ hostname: 'h' })[0] ?? '', /^Forbidden: pod updates may not change fields other than `spec.containers\[\*\].image`/)
  assert.deepEqual(update({ containers: [] }), ['Forbidden: pod updates may not add or remove containers'])
  assert.deepEqual(update({ tolerations: [] }), ['Forbidden: existing toleration can not be modified except its tolerationSeconds'])
})

test('a pod has the grace that it asked for, where it runs', () => {
  const grace = (spec: object, status: object, requested?: number) => kind('Pod').gracePeriodSeconds!({ spec, status }, requested)
  assert.equal(grace({ terminationGracePeriodSeconds: 30 }, {}), 0)
  assert.equal(grace({ nodeName: 'n', terminationGracePeriodSeconds: 30 }, {}), 30)
  assert.equal(grace({ nodeName: 'n', terminationGracePeriodSeconds: 30 }, {}, 5), 5)
  assert.equal(grace({ nodeName: 'n' }, { phase: 'Succeeded' }, 5), 0)
  assert.equal(grace({ nodeName: 'n' }, {}, -3), 1)
})

test('schedules', () => {
  for (const good of ['* * * * *', '*/5 0-4 1,15 JAN-mar sun', '@hourly', '@every 1h30m', '0 0 ? * ?'])
    assert.equal(scheduleProblem(good), undefined, good)
  assert.equal(scheduleProblem('* * *'), 'expected exactly 5 fields, found 3: [* * *]')
  assert.equal(scheduleProblem('61 * * * *'), 'end of range (61) above maximum (59): 61')
  assert.equal(scheduleProblem('*/0 * * * *'), 'step of range should be a positive number: */0')
})

test('versions turn into each other without loss', () => {
  const metrics = [
    { type: 'Pods', pods: { metric: { name: 'm' }, target: { type: 'AverageValue', averageValue: '5' } } },
    { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
  ]
  const behavior = { scaleDown: { selectPolicy: 'Max', policies: [{ type: 'Pods', value: 1, periodSeconds: 15 }] } }
  const hpa = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'h' },
    spec: { maxReplicas: 3, scaleTargetRef: { kind: 'D', name: 'd' }, metrics, behavior },
  }
  const v1 = autoscalerToV1(hpa)
  assert.equal(v1.spec?.targetCPUUtilizationPercentage, 50)
  assert.deepEqual(autoscalerFromV1(v1), hpa)
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e' },
    involvedObject: { kind: 'Pod' },
    message: 'm',
    count: 2,
    reportingComponent: 'c',
  }
  assert.equal(eventToEventsV1(event).note, 'm')
  assert.deepEqual(eventFromEventsV1(eventToEventsV1(event)), event)
  const claim = {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name: 'c' },
    spec: { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'k', count: 2 } }] } },
  }
  assert.deepEqual(claimToBeta(claim).spec.devices?.requests, [{ name: 'r', deviceClassName: 'k', count: 2 }])
  assert.deepEqual(claimFromBeta(claimToBeta(claim)), claim)
})

test('services get addresses and ports, keep them, and give them back', async (t) => {
  const allocator = createServiceAllocator({ cidr: '10.0.0.0/29', nodePorts: { from: 30000, to: 30001 }, random: seededRandom(1) })
  const { call } = await startServer(t, { resources: resourcesWith(allocator), admission })
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'x' } })
  const url = '/api/v1/namespaces/x/services'
  const ports = [{ port: 80 }]
  const make = (name: string, spec: object) => call('POST', url, { metadata: { name }, spec: { ports, ...spec } })
  const first = (await make('a', { clusterIP: '10.0.0.3', type: 'NodePort', ports: [{ port: 80, nodePort: 30000 }] })).body
  assert.deepEqual([first.spec.clusterIPs, first.spec.ipFamilies, first.spec.ipFamilyPolicy], [['10.0.0.3'], ['IPv4'], 'SingleStack'])
  assert.match(
    String((await make('b', { clusterIP: '10.0.0.3' })).body.message),
    /spec.clusterIPs: Invalid value: \["10.0.0.3"\]: failed to allocate IP 10.0.0.3: provided IP is already allocated/,
  )
  assert.match(
    String((await make('b', { type: 'NodePort', ports: [{ port: 1, nodePort: 30000 }] })).body.message),
    /spec.ports\[0\].nodePort: Invalid value: 30000: provided port is already allocated/,
  )
  assert.equal((await make('c', { type: 'NodePort' })).body.spec.ports[0].nodePort, 30001)
  assert.equal((await make('d', { type: 'NodePort' })).status, 500)
  // The manifest again, without what was allocated: nothing changes.
  const again = await call('PUT', `${url}/a`, { metadata: { name: 'a' }, spec: { type: 'NodePort', ports } })
  assert.deepEqual([again.body.spec.clusterIP, again.body.spec.ports[0].nodePort], ['10.0.0.3', 30000])
  const moved = await call('PUT', `${url}/a`, {
    metadata: { name: 'a' },
    spec: { ...first.spec, clusterIP: '10.0.0.4', clusterIPs: ['10.0.0.4'] },
  })
  assert.match(String(moved.body.message), /spec.clusterIPs\[0\]: Invalid value: \["10.0.0.4"\]: may not change once set/)
  const plain = await call('PUT', `${url}/a`, { metadata: { name: 'a' }, spec: { ...first.spec, type: 'ClusterIP' } })
  assert.equal(plain.body.spec.ports[0].nodePort, undefined)
  assert.equal((await make('d', { type: 'NodePort' })).body.spec.ports[0].nodePort, 30000)
  const headless = (await make('h', { clusterIP: 'None', selector: { a: 'b' } })).body
  assert.deepEqual([headless.spec.clusterIPs, headless.spec.ipFamilies], [['None'], ['IPv4']])
  const external = (await make('e', { type: 'ExternalName', externalName: 'example.com', ports: undefined })).body
  assert.equal(external.spec.clusterIP, undefined)
  await call('DELETE', `${url}/a`)
  assert.equal((await make('f', { clusterIP: '10.0.0.3' })).status, 201)
})

test('admission of pods, nodes and namespaces', async (t) => {
  const { call } = await startServer(t, { resources, admission })
  const pods = '/api/v1/namespaces/x/pods'
  const body = (spec: object = {}) => ({ metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec } })
  assert.equal((await call('POST', pods, body())).body.message, 'namespaces "x" not found')
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'x' } })
  assert.match(
    String((await call('POST', pods, body())).body.message),
    /pods "p" is forbidden: error looking up service account x\/default: serviceaccount "default" not found/,
  )
  await call('POST', '/api/v1/namespaces/x/serviceaccounts', { metadata: { name: 'default' } })
  assert.match(
    String((await call('POST', pods, body({ priorityClassName: 'no' }))).body.message),
    /no PriorityClass with name no was found/,
  )
  await call('POST', '/api/v1/namespaces/x/limitranges', {
    metadata: { name: 'l' },
    spec: { limits: [{ type: 'Container', max: { cpu: '1' }, default: { cpu: '500m' } }] },
  })
  const tooMuch = await call('POST', pods, body({ containers: [{ name: 'c', image: 'i', resources: { limits: { cpu: '2' } } }] }))
  assert.match(String(tooMuch.body.message), /maximum cpu usage per Container is 1, but limit is 2/)
  const made = (await call('POST', pods, body({ priorityClassName: 'system-node-critical' }))).body
  assert.equal(made.spec.priority, 2000001000)
  assert.equal(made.spec.serviceAccount, 'default')
  assert.match(made.spec.volumes[0].name, /^kube-api-access-/)
  assert.equal(made.spec.tolerations.length, 2)
  assert.deepEqual(made.spec.containers[0].resources, { limits: { cpu: '500m' }, requests: { cpu: '500m' } })
  assert.equal(made.status.qosClass, 'Burstable')
  const node = (await call('POST', '/api/v1/nodes', { metadata: { name: 'n' } })).body
  assert.deepEqual(node.spec.taints, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }])
  await call('POST', '/api/v1/namespaces', { metadata: { name: 'kube-system' } })
  assert.match(String((await call('DELETE', '/api/v1/namespaces/kube-system')).body.message), /this namespace may not be deleted/)
  const kubelet = { user: { name: 'system:node:m', groups: ['system:nodes', 'system:masters'] } }
  assert.match(
    String((await call('PUT', '/api/v1/nodes/n', { metadata: { name: 'n' } }, kubelet)).body.message),
    /node "m" is not allowed to modify node "n"/,
  )
})
