/** The scale subresource: one form for the replicas of every kind that has them (autoscaling/v1 Scale). */
import type { ApiResponse } from '../../api/exchange.ts'
import type { Scale } from '../../api/generated/autoscaling/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { badRequest, conflict, failure, invalid } from '../../api/status.ts'
import { decodeBody } from '../body.ts'
import type { Core, ResourceCall } from '../core.ts'
import { writeOptions } from '../options.ts'
import { rawPatcher } from '../patch.ts'
import { get } from '../read.ts'
import { Computed } from '../revision.ts'
import { change, keyIn } from '../update.ts'
import { checkVerb, rulesOf } from './verbs.ts'

const SCALE = { group: 'autoscaling', version: 'v1', kind: 'Scale' } as const

export async function scale(core: Core, call: ResourceCall): Promise<ApiResponse> {
  checkVerb(call)
  const { served, info, request } = call
  if (info.verb === 'get') {
    const found = await get(
      core,
      served,
      keyIn(served.info.namespaced, info.namespace, info.name),
      info.name,
      request.query.get('resourceVersion') ?? '',
    )
    const shown = scaleOf(call, found.object)
    if (shown.spec?.replicas !== undefined) return { type: 'object', status: 200, stored: new Computed(shown) }
    const path = JSON.stringify(scaleHooks(call)?.specReplicasPath)
    throw failure('InternalError', `Internal error occurred: the spec replicas field ${path} does not exist`)
  }
  const rules = rulesOf(SCALE)
  const options = writeOptions(info.verb === 'update' ? 'UpdateOptions' : 'PatchOptions', request.query)
  const wanted = info.verb === 'update' ? always(decodeBody(call, { apiVersion: 'autoscaling/v1', kind: 'Scale', rules })) : patched(call)
  let last: KubeObject | undefined
  const make = (old: KubeObject): KubeObject => {
    const next = wanted(scaleOf(call, old))
    checkScale(call, next, old)
    const { specReplicasPath } = scaleHooks(call) ?? {}
    if (specReplicasPath !== undefined && next.spec?.replicas === undefined)
      throw badRequest(`the spec replicas field ${JSON.stringify(specReplicasPath)} cannot be empty`)
    last = next
    const { resourceVersion } = next.metadata ?? {}
    return withReplicas(call, resourceVersion ? { ...old, metadata: { ...old.metadata, resourceVersion } } : old, next.spec?.replicas ?? 0)
  }
  const revision = await change(core, call, make, {
    options,
    isFromOld: true,
    admitted: (_next, old) => ({ object: last!, oldObject: scaleOf(call, old) }),
  })
  return { type: 'object', status: 200, stored: new Computed(scaleOf(call, revision.object)) }
}

const always = (object: KubeObject) => () => object

function patched(call: ResourceCall): (scale: KubeObject) => KubeObject {
  const rules = rulesOf(SCALE)
  const apply = rawPatcher(call, rules)
  return (old) => rules.decode({ ...apply(old), apiVersion: 'autoscaling/v1', kind: 'Scale' }).object
}

function checkScale({ info, served }: ResourceCall, next: KubeObject, old: KubeObject): void {
  const { name, uid } = next.metadata ?? {}
  if (name && name !== info.name) throw badRequest(`the name of the object (${name}) does not match the name on the URL (${info.name})`)
  if (uid && uid !== old.metadata?.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata?.uid}`
    throw conflict(served.info.group, served.info.resource, info.name, why)
  }
  const replicas: unknown = next.spec?.replicas ?? 0
  if (typeof replicas === 'number' && replicas >= 0) return
  const detail = `Invalid value: ${JSON.stringify(replicas)}: must be greater than or equal to 0`
  throw invalid('autoscaling', 'Scale', info.name, [{ type: 'FieldValueInvalid', field: 'spec.replicas', detail }])
}

/** Each version of a custom resource has paths of its own. */
const scaleHooks = ({ served }: Pick<ResourceCall, 'served'>) => (served.custom ?? served.stored.definition).scale

function scaleOf({ served }: ResourceCall, object: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata!
  const paths = scaleHooks({ served })
  const replicas = paths?.replicas ? paths.replicas(object) : (object.spec?.replicas ?? 0)
  const selector = paths?.selector(object) ?? ''
  const made = {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name: name!,
      ...(namespace ? { namespace } : {}),
      uid: uid!,
      resourceVersion: resourceVersion!,
      creationTimestamp: creationTimestamp!,
    },
    spec: replicas === undefined ? {} : { replicas },
    status: {
      replicas: paths?.statusReplicas ? paths.statusReplicas(object) : (object.status?.replicas ?? 0),
      ...(selector ? { selector } : {}),
    },
  } satisfies Scale
  return made
}

function withReplicas({ served }: ResourceCall, object: KubeObject, replicas: number): KubeObject {
  const set = scaleHooks({ served })?.withReplicas
  return set ? set(object, replicas) : { ...object, spec: { ...object.spec, replicas } }
}
