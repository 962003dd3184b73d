/** pods/binding: gives a pod its node, once and for all (pkg/registry/core/pod/storage BindingREST). */
import { timestamp } from '../../base/clock.ts'
import type { ApiResponse } from '../../api/exchange.ts'
import type { Pod, PodCondition } from '../../api/generated/core/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { badRequest, conflict, plainFailure } from '../../api/status.ts'
import type { Core, ResourceCall } from '../core.ts'
import { isDryRun, writeOptions } from '../options.ts'
import { admitOnly } from '../pipeline.ts'
import { changeInternally } from './internal-change.ts'
import { checkVerb, decodeAs, success } from './verbs.ts'

const BINDING = { group: '', version: 'v1', kind: 'Binding' } as const

export async function bind(core: Core, call: ResourceCall): Promise<ApiResponse> {
  if (call.info.subresource !== '') checkVerb(call)
  const { info } = call
  let binding = decodeAs(call, BINDING)
  const name = binding.metadata?.name ?? ''
  if (info.name !== '' && name !== info.name) throw badRequest('name in URL does not match name in Binding object')
  checkTarget(binding)
  const options = writeOptions('CreateOptions', call.request.query)
  const dry = isDryRun(options)
  const pods = core.registry.ofKind('v1/Pod')!
  const on: ResourceCall = { ...call, served: pods, info: { ...info, resource: 'pods', name, subresource: 'binding' } }
  const undo = await admitOnly(
    core,
    {
      call: on,
      served: pods,
      subresource: 'binding',
      operation: 'CREATE',
      namespace: info.namespace,
      name,
      old: undefined,
      isDryRun: dry,
      options,
    },
    binding,
    (admitted) => {
      binding = admitted
    },
  )
  try {
    await changeInternally(core, on, (pod) => bound(pod, binding, timestamp(core.runtime.clock)), { options, isDryRun: dry })
  } catch (error) {
    await undo()
    throw error
  }
  return success(201)
}

/** Upstream answers these as faults of its own. */
function checkTarget(binding: KubeObject): void {
  const { kind, name } = (binding.target ?? {}) as { readonly kind?: string; readonly name?: string }
  const faults: string[] = []
  if (kind && kind !== 'Node') faults.push(`target.kind: Unsupported value: ${JSON.stringify(kind)}: supported values: "Node", "<empty>"`)
  if (!name) faults.push('target.name: Required value')
  if (faults.length > 0) throw plainFailure(faults.length === 1 ? faults[0]! : `[${faults.join(', ')}]`)
}

const preconditionFailed = ({ metadata }: Pod, what: string): Error => {
  const { namespace, name = '' } = metadata!
  const why = `StorageError: invalid object, Code: 4, Key: /registry/pods/${namespace}/${name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: ${what}`
  return conflict('', 'pods', name, why)
}

function bound(pod: Pod, binding: KubeObject, now: string): Pod {
  const name = pod.metadata!.name!
  const refuse = (why: string) => conflict('', 'pods/binding', name, why)
  const { uid, resourceVersion } = binding.metadata ?? {}
  if (uid && uid !== pod.metadata!.uid)
    throw preconditionFailed(pod, `UID in precondition: ${uid}, UID in object meta: ${pod.metadata!.uid}`)
  if (resourceVersion && resourceVersion !== pod.metadata!.resourceVersion)
    throw preconditionFailed(
      pod,
      `ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${pod.metadata!.resourceVersion}`,
    )
  if (pod.metadata!.deletionTimestamp) throw refuse(`pod ${name} is being deleted, cannot be assigned to a host`)
  if (pod.spec?.nodeName) throw refuse(`pod ${name} is already assigned to node ${JSON.stringify(pod.spec.nodeName)}`)
  if (pod.spec?.schedulingGates?.length) throw refuse(`pod ${name} has non-empty .spec.schedulingGates`)
  const { labels, annotations } = binding.metadata ?? {}
  const { nominatedNodeName: _cleared, ...status } = pod.status ?? {}
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      ...(annotations ? { annotations: { ...pod.metadata!.annotations, ...annotations } } : {}),
      ...(labels ? { labels: { ...pod.metadata!.labels, ...labels } } : {}),
    },
    spec: { ...pod.spec!, nodeName: binding.target.name as string },
    status: { ...status, conditions: withCondition(pod.status?.conditions, { type: 'PodScheduled', status: 'True' }, now) },
  }
}

/** The conditions with this one set; its transition time moves when its status does. */
export function withCondition(
  conditions: readonly PodCondition[] | undefined,
  condition: PodCondition,
  now: string,
): readonly PodCondition[] {
  const old = conditions?.find(({ type }) => type === condition.type)
  const since = old?.status === condition.status && old.lastTransitionTime ? old.lastTransitionTime : now
  const next: PodCondition = { lastProbeTime: null as never, ...condition, lastTransitionTime: since }
  return old ? conditions!.map((other) => (other === old ? next : other)) : [...(conditions ?? []), next]
}
