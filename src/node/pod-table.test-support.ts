/**
 * What a pod looks like in the API in every ordinary and odd situation: phase, reason, conditions and containers, as upstream's kubelet
 * reports them (its pkg/kubelet and test/e2e/node). One table for both runtimes; `rows` run beside each other in one namespace.
 *
 * An expectation reads: phase (reason); conditions, a letter each, upper case when True, with the reason of Ready when it is not; then
 * each container: its state, reason and exit code, `last` for the run before, `xN` for its restarts (`x+` for more than none).
 *   S PodScheduled, T PodReadyToStartContainers, I Initialized, C ContainersReady, R Ready
 */
import type { ConfigMap, Container, ContainerState, ContainerStatus, Pod, PodSpec } from '../api/generated/core/v1.ts'

export interface PodRow {
  readonly name: string
  readonly pod: Pod
  readonly expected: string
  /** Only where containers are real: exit codes of programs, the kernel's limits. */
  readonly isReal?: true
  /** Deleted once it runs. */
  readonly isDeleted?: true
}

type Row = readonly [name: string, spec: Partial<PodSpec>, expected: string, more?: { readonly isReal?: true; readonly isDeleted?: true }]

const LETTERS = { S: 'PodScheduled', T: 'PodReadyToStartContainers', I: 'Initialized', C: 'ContainersReady', R: 'Ready' } as const

const stateOf = ({ running, terminated, waiting }: ContainerState): string =>
  running ? 'running' : terminated ? `${terminated.reason}:${terminated.exitCode}` : (waiting?.reason ?? 'none')

const containerOf = ({ name, state, lastState, restartCount, ready }: ContainerStatus): string => {
  const last = lastState?.terminated ? ` last ${stateOf(lastState)}` : ''
  return `${name} ${stateOf(state ?? {})}${ready ? ' ready' : ''}${last} x${restartCount > 0 ? '+' : '0'}`
}

export function describePod({ status }: Pod): string {
  const conditions = status?.conditions ?? []
  const find = (wanted: string) => conditions.find(({ type }) => type === wanted)
  const letters = Object.entries(LETTERS)
    .filter(([, type]) => find(type))
    .map(([letter, type]) => (find(type)?.status === 'True' ? letter : letter.toLowerCase()))
    .join('')
  const unready = find('Ready') ?? find('PodScheduled')
  const why = unready?.status !== 'True' && unready?.reason ? ` ${unready.reason}` : ''
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].map(containerOf)
  return [`${status?.phase}${status?.reason ? ` (${status.reason})` : ''} ${letters}${why}`.trim(), ...containers].join('; ')
}

/** Objects that the pods refer to. */
export const tableObjects: readonly ConfigMap[] = [
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'there', namespace: 'default' }, data: { key: 'value' } },
]

const HOUR = ['sleep', '3600']

/** `image` is there and has sh, sleep, true and false; `node` is the node's name. */
export function podTable(image: string, node: string): readonly PodRow[] {
  const container = (name: string, command: readonly string[], more: Partial<Container> = {}): Container => ({
    name,
    image,
    imagePullPolicy: 'IfNotPresent',
    command,
    ...more,
  })
  const c = (command: readonly string[], more: Partial<Container> = {}) => [container('c', command, more)]
  const sidecar = (command: readonly string[], more: Partial<Container> = {}) => [
    container('s', command, { restartPolicy: 'Always', ...more }),
  ]
  const i = (command: readonly string[], more: Partial<Container> = {}) => [container('i', command, more)]
  const exec = (...command: readonly string[]) => ({ exec: { command }, periodSeconds: 1, failureThreshold: 1 })
  const exit = (code: number) => ['sh', '-c', `exit ${code}`]
  const env = (ref: object) => ({ env: [{ name: 'A', valueFrom: ref }] })
  const mounted = { volumeMounts: [{ name: 'v', mountPath: '/v' }] }
  const Never = { restartPolicy: 'Never' }
  const OnFailure = { restartPolicy: 'OnFailure' }
  const rows: readonly Row[] = [
    ['one container runs', { containers: c(HOUR) }, 'Running STICR; c running ready x0'],
    ['two containers run', { containers: [...c(HOUR), container('d', HOUR)] }, 'Running STICR; c running ready x0; d running ready x0'],
    ['done', { ...Never, containers: c(['true']) }, 'Succeeded StIcr PodCompleted; c Completed:0 x0'],
    ['done on failure', { ...OnFailure, containers: c(['true']) }, 'Succeeded StIcr PodCompleted; c Completed:0 x0'],
    ['failed', { ...Never, containers: c(exit(3)) }, 'Failed StIcr PodFailed; c Error:3 x0'],
    [
      'one of two failed',
      { ...Never, containers: [...c(['true']), container('d', exit(1))] },
      'Failed StIcr PodFailed; c Completed:0 x0; d Error:1 x0',
    ],
    [
      'one is done, one runs',
      { ...Never, containers: [...c(['true']), container('d', HOUR)] },
      'Running STIcr ContainersNotReady; c Completed:0 x0; d running ready x0',
    ],
    ['fails on and on', { ...OnFailure, containers: c(exit(1)) }, 'Running STIcr ContainersNotReady; c CrashLoopBackOff last Error:1 x+'],
    ['ends on and on', { containers: c(['true']) }, 'Running STIcr ContainersNotReady; c CrashLoopBackOff last Completed:0 x+'],
    [
      'one fails on and on, one runs',
      { containers: [...c(exit(2)), container('d', HOUR)] },
      'Running STIcr ContainersNotReady; c CrashLoopBackOff last Error:2 x+; d running ready x0',
    ],
    [
      'one fails on and on, one is done',
      { ...OnFailure, containers: [...c(exit(2)), container('d', ['true'])] },
      'Running STIcr ContainersNotReady; c CrashLoopBackOff last Error:2 x+; d Completed:0 x0',
    ],
    [
      'an image that must be there and is not',
      { containers: c(HOUR, { image: 'proa.local/none:1', imagePullPolicy: 'Never' }) },
      'Pending STIcr ContainersNotReady; c ErrImageNeverPull x0',
    ],
    [
      'an image name that is none',
      { containers: c(HOUR, { image: 'No Image' }) },
      'Pending STIcr ContainersNotReady; c InvalidImageName x0',
    ],
    [
      'an image that cannot be pulled',
      { containers: c(HOUR, { image: 'invalid.invalid/none:1' }) },
      'Pending STIcr ContainersNotReady; c ImagePullBackOff x0',
    ],
    [
      'one image cannot be pulled, the other container runs',
      { containers: [...c(HOUR, { image: 'invalid.invalid/none:1' }), container('d', HOUR)] },
      'Pending STIcr ContainersNotReady; c ImagePullBackOff x0; d running ready x0',
    ],
    [
      'initialized, then runs',
      { initContainers: i(['true']), containers: c(HOUR) },
      'Running STICR; i Completed:0 ready x0; c running ready x0',
    ],
    [
      'is being initialized',
      { initContainers: i(HOUR), containers: c(HOUR) },
      'Pending STicr ContainersNotReady; i running x0; c PodInitializing x0',
    ],
    [
      'the second of two initializes',
      { initContainers: [...i(['true']), container('j', HOUR)], containers: c(HOUR) },
      'Pending STicr ContainersNotReady; i Completed:0 ready x0; j running x0; c PodInitializing x0',
    ],
    [
      'was not initialized, for good',
      { ...Never, initContainers: i(exit(4)), containers: c(HOUR) },
      'Failed Sticr PodFailed; i Error:4 x0; c PodInitializing x0',
    ],
    [
      'is not initialized, on and on',
      { initContainers: i(exit(1)), containers: c(HOUR) },
      'Pending STicr ContainersNotReady; i CrashLoopBackOff last Error:1 x+; c PodInitializing x0',
    ],
    [
      'an image of an init container cannot be pulled',
      { initContainers: i(['true'], { image: 'invalid.invalid/none:1' }), containers: c(HOUR) },
      'Pending STicr ContainersNotReady; i ImagePullBackOff x0; c PodInitializing x0',
    ],
    [
      'a sidecar runs beside',
      { initContainers: sidecar(HOUR), containers: c(HOUR) },
      'Running STICR; s running ready x0; c running ready x0',
    ],
    [
      'a sidecar that has not started holds up the rest',
      { initContainers: sidecar(HOUR, { startupProbe: { ...exec('false'), failureThreshold: 1000 } }), containers: c(HOUR) },
      'Pending STicr ContainersNotReady; s running x0; c PodInitializing x0',
    ],
    [
      'a sidecar that is not ready',
      { initContainers: sidecar(HOUR, { readinessProbe: exec('false') }), containers: c(HOUR) },
      'Running STIcr ContainersNotReady; s running x0; c running ready x0',
    ],
    ['ready by a probe', { containers: c(HOUR, { readinessProbe: exec('true') }) }, 'Running STICR; c running ready x0'],
    ['not ready by a probe', { containers: c(HOUR, { readinessProbe: exec('false') }) }, 'Running STIcr ContainersNotReady; c running x0'],
    [
      'not started by a probe',
      { containers: c(HOUR, { startupProbe: { ...exec('false'), failureThreshold: 1000 }, readinessProbe: exec('true') }) },
      'Running STIcr ContainersNotReady; c running x0',
    ],
    ['started by a probe', { containers: c(HOUR, { startupProbe: exec('true') }) }, 'Running STICR; c running ready x0'],
    [
      'a readiness gate that nobody opens',
      { containers: c(HOUR), readinessGates: [{ conditionType: 'example.com/gate' }] },
      'Running STICr ReadinessGatesNotReady; c running ready x0',
    ],
    [
      'longer than it may',
      { ...Never, activeDeadlineSeconds: 10, containers: c(['sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.1; done']) },
      'Failed (DeadlineExceeded) StIcr PodFailed; c Error:5 x0',
      { isReal: true },
    ],
    [
      'a variable from a ConfigMap that is not there',
      { containers: c(HOUR, env({ configMapKeyRef: { name: 'none', key: 'key' } })) },
      'Pending STIcr ContainersNotReady; c CreateContainerConfigError x0',
    ],
    [
      'a variable from a key that is not there',
      { containers: c(HOUR, env({ configMapKeyRef: { name: 'there', key: 'none' } })) },
      'Pending STIcr ContainersNotReady; c CreateContainerConfigError x0',
    ],
    [
      'a variable from a Secret that is not there',
      { containers: c(HOUR, env({ secretKeyRef: { name: 'none', key: 'key' } })) },
      'Pending STIcr ContainersNotReady; c CreateContainerConfigError x0',
    ],
    [
      'a variable that need not be there',
      { containers: c(HOUR, env({ configMapKeyRef: { name: 'none', key: 'key', optional: true } })) },
      'Running STICR; c running ready x0',
    ],
    [
      'a variable that is there',
      { containers: c(HOUR, env({ configMapKeyRef: { name: 'there', key: 'key' } })) },
      'Running STICR; c running ready x0',
    ],
    [
      'a volume of a ConfigMap that is not there',
      { containers: c(HOUR, mounted), volumes: [{ name: 'v', configMap: { name: 'none' } }] },
      'Pending StIcr ContainersNotReady; c ContainerCreating x0',
    ],
    [
      'a volume of a Secret that is not there, before init containers',
      { initContainers: i(['true']), containers: c(HOUR, mounted), volumes: [{ name: 'v', secret: { secretName: 'none' } }] },
      'Pending Sticr ContainersNotReady; i PodInitializing x0; c PodInitializing x0',
    ],
    [
      'a volume that need not be there',
      { containers: c(HOUR, mounted), volumes: [{ name: 'v', configMap: { name: 'none', optional: true } }] },
      'Running STICR; c running ready x0',
    ],
    [
      'a claim that is not there',
      { nodeName: node, containers: c(HOUR, mounted), volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'none' } }] },
      'Pending StIcr ContainersNotReady; c ContainerCreating x0',
    ],
    [
      'a path of the node that is not there',
      { containers: c(HOUR, mounted), volumes: [{ name: 'v', hostPath: { path: '/none/such', type: 'Directory' } }] },
      'Pending StIcr ContainersNotReady; c ContainerCreating x0',
    ],
    [
      'a volume of an image that is not there',
      { containers: c(HOUR, mounted), volumes: [{ name: 'v', image: { reference: 'proa.local/none:1', pullPolicy: 'Never' } }] },
      'Pending STIcr ContainersNotReady; c ErrImageNeverPull x0',
    ],
    [
      'root, who must not be',
      { containers: c(HOUR, { securityContext: { runAsNonRoot: true, runAsUser: 0 } }) },
      'Pending STIcr ContainersNotReady; c CreateContainerConfigError x0',
    ],
    ["on the node's network", { hostNetwork: true, containers: c(HOUR) }, 'Running STICR; c running ready x0'],
    [
      'a path from a variable that is not there',
      {
        containers: c(HOUR, { volumeMounts: [{ name: 'v', mountPath: '/v', subPathExpr: '$(NONE)' }] }),
        volumes: [{ name: 'v', emptyDir: {} }],
      },
      'Pending STIcr ContainersNotReady; c CreateContainerConfigError x0',
    ],
    [
      'a kernel parameter that is not safe',
      { nodeName: node, securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] }, containers: c(HOUR) },
      'Failed (SysctlForbidden)',
    ],
    [
      'more CPU than the node has, past the scheduler',
      { nodeName: node, containers: c(HOUR, { resources: { requests: { cpu: '1000' } } }) },
      'Failed (OutOfcpu)',
    ],
    [
      'more memory than the node has, past the scheduler',
      { nodeName: node, containers: c(HOUR, { resources: { requests: { memory: '1Pi' } } }) },
      'Failed (OutOfmemory)',
    ],
    ['more than any node has', { containers: c(HOUR, { resources: { requests: { cpu: '1000' } } }) }, 'Pending s Unschedulable'],
    ['held back from the scheduler', { schedulingGates: [{ name: 'example.com/gate' }], containers: c(HOUR) }, 'Pending s SchedulingGated'],
    [
      'deleted, and kept by a finalizer',
      { terminationGracePeriodSeconds: 30, containers: c(['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done']) },
      'Succeeded StIcr PodCompleted; c Completed:0 x0',
      { isReal: true, isDeleted: true },
    ],
    [
      'a program that is not there',
      { ...Never, containers: c(['/none']) },
      'Failed StIcr PodFailed; c StartError:128 x0',
      { isReal: true },
    ],
    [
      'a program that is not there, on and on',
      { containers: c(['/none']) },
      'Running STIcr ContainersNotReady; c CrashLoopBackOff last StartError:128 x+',
      { isReal: true },
    ],
    [
      'more memory than it may',
      { ...Never, containers: c(['sh', '-c', 'x=a; while :; do x=$x$x; done'], { resources: { limits: { memory: '20Mi' } } }) },
      'Failed StIcr PodFailed; c OOMKilled:137 x0',
      { isReal: true },
    ],
    [
      'a sidecar ends with what it serves',
      { ...Never, initContainers: sidecar(['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.1; done']), containers: c(['sleep', '1']) },
      'Succeeded StIcr PodCompleted; s Completed:0 x0; c Completed:0 x0',
      { isReal: true },
    ],
    [
      'a container with a policy of its own',
      { ...Never, containers: [...c(exit(1), { restartPolicy: 'OnFailure' }), container('d', ['true'])] },
      'Running STIcr ContainersNotReady; c CrashLoopBackOff last Error:1 x+; d Completed:0 x0',
    ],
  ]
  return rows.map(([name, spec, expected, more = {}], index) => ({
    name,
    expected,
    ...more,
    pod: {
      metadata: {
        name: `row-${index}`,
        namespace: 'default',
        ...(more.isDeleted ? { finalizers: ['example.com/kept'] } : {}),
      },
      spec: { terminationGracePeriodSeconds: 1, ...spec, containers: spec.containers ?? [] },
    },
  }))
}
