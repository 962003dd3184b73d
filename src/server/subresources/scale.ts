/** The scale subresource: one form for the replicas of every kind that has them (autoscaling/v1 Scale). */
import { fieldElement } from '../../api/apply/path-element.ts'
import type { FieldPath } from '../../api/apply/field-set.ts'
import type { Versions } from '../../api/apply/update-owners.ts'
import type { ApiResponse } from '../../api/exchange.ts'
import type { Scale } from '../../api/generated/autoscaling/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/schema.ts'
import { badRequest, conflict, failure, invalid } from '../../api/status.ts'
import { timestamp } from '../../base/clock.ts'
import { applied } from '../apply/apply.ts'
import { checkName } from '../metadata.ts'
import { APPLY_PATCH, readConfiguration, tellDuplicates } from '../apply/apply-patch.ts'
import { managerOf } from '../apply/manager-name.ts'
import { ownersAfterScale, ownersOfScale, type ReplicasPath } from '../apply/scale-owners.ts'
import { managedFieldsAfter } from '../apply/track.ts'
import { applyTypeOf } from '../apply/versions.ts'
import { withManagedFields } from '../apply/write-owners.ts'
import { decodeBody } from '../body.ts'
import type { Core, ResourceCall } from '../core.ts'
import { settle } from '../custom-resources/conversion.ts'
import { isDryRun, writeOptions } from '../options.ts'
import { contentTypeOf, patcher } from '../patch.ts'
import { get } from '../read.ts'
import { Computed } from '../revision.ts'
import { change, keyIn, registryKey } from '../update.ts'
import { rulesOf } from '../builtin-rules.ts'
import { checkVerb } from './verbs.ts'

const SCALE = { group: 'autoscaling', version: 'v1', kind: 'Scale' } as const
const EXPECTED = { apiVersion: 'autoscaling/v1', kind: 'Scale' } as const

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
    const shown = scaleOf(call, await settle(() => current(call, found.object)))
    if (shown.spec?.replicas !== undefined) return answer(shown)
    const path = JSON.stringify(scaleHooks(call)?.specReplicasPath)
    throw failure('InternalError', `Internal error occurred: the spec replicas field ${path} does not exist`)
  }
  const rules = rulesOf(SCALE)
  const isApply = info.verb === 'patch' && contentTypeOf(call) === APPLY_PATCH
  const options = writeOptions(info.verb === 'update' ? 'UpdateOptions' : 'PatchOptions', request.query, isApply)
  const wanted = isApply
    ? appliedScale(core, call, options)
    : tracked(
        core,
        call,
        options,
        info.verb === 'update' ? always(decodeBody(call, { ...EXPECTED, rules })) : patcher(call, { ...EXPECTED, rules }),
      )
  const replicasPath = replicasPathOf(core, call)
  let last: KubeObject | undefined
  const make = (old: KubeObject): KubeObject => {
    const before = scaleOf(call, old)
    const next = wanted(withManagedFields(before, ownersOfScale(old.metadata?.managedFields, replicasPath)))
    checkScale(call, next, old, isDryRun(options))
    const { specReplicasPath } = scaleHooks(call) ?? {}
    if (specReplicasPath !== undefined && next.spec?.replicas === undefined)
      throw badRequest(`the spec replicas field ${JSON.stringify(specReplicasPath)} cannot be empty`)
    last = withManagedFields(next, undefined)
    const { resourceVersion, managedFields } = next.metadata ?? {}
    const owned = withManagedFields(old, ownersAfterScale(old.metadata?.managedFields, managedFields, served.apiVersion, replicasPath))
    const scaled = resourceVersion ? { ...owned, metadata: { ...owned.metadata, resourceVersion } } : owned
    return withReplicas(call, scaled, next.spec?.replicas ?? 0)
  }
  const revision = await change(core, call, make, {
    options,
    isFromOld: true,
    isApplied: true,
    admitted: (_next, old) => ({ object: last!, oldObject: scaleOf(call, old) }),
  })
  return answer(scaleOf(call, await settle(() => current(call, revision.object))))
}

/** Go leaves zeros out. */
const answer = (shown: Scale): ApiResponse => ({
  type: 'object',
  status: 200,
  stored: new Computed(shown.spec?.replicas ? shown : { ...shown, spec: {} }),
})

type MakeScale = (scale: KubeObject) => KubeObject

/** A Scale has one version. */
const VERSIONS: Versions = {
  apiVersion: EXPECTED.apiVersion,
  convert: (object, apiVersion) => (object.apiVersion === apiVersion ? object : undefined),
  typeOf: () => applyTypeOf(rulesOf(SCALE)),
  writable: (fields) => fields,
}

const REPLICAS: FieldPath = ['f:spec', 'f:replicas']

/** Where each version of the kind has its replicas. */
function replicasPathOf(core: Core, { served }: ResourceCall): ReplicasPath {
  return (apiVersion) => {
    const { group, version } = parseApiVersion(apiVersion)
    const found = core.registry.find(group, version, served.info.resource)
    if (!found) return null
    if (!found.subresources.has('scale')) return undefined
    const path = scaleHooks({ served: found })?.specReplicasPath
    return path === undefined ? REPLICAS : path.split('.').slice(1).map(fieldElement)
  }
}

function tracked(core: Core, call: ResourceCall, options: KubeObject, make: MakeScale): MakeScale {
  return (live) => {
    const next = make(live)
    const managedFields = managedFieldsAfter({
      live,
      next,
      isNew: false,
      manager: managerOf(call, options),
      subresource: 'scale',
      versions: VERSIONS,
      isSchemaFluid: false,
      now: timestamp(core.runtime.clock),
    })
    return withManagedFields(next, managedFields)
  }
}

function appliedScale(core: Core, call: ResourceCall, options: KubeObject): MakeScale {
  const configuration = readConfiguration(call)
  const rules = rulesOf(SCALE)
  return (live) => {
    const object = applied({
      live,
      config: configuration.config,
      kind: SCALE.kind,
      manager: options.fieldManager as string,
      subresource: 'scale',
      isForced: options.force === true,
      versions: VERSIONS,
      empty: rules.emptyObject!(),
      now: timestamp(core.runtime.clock),
    })
    tellDuplicates(call, configuration)
    return rules.decode(object).object
  }
}

const always = (object: KubeObject) => () => object

function checkScale({ info, served }: ResourceCall, next: KubeObject, old: KubeObject, isDry: boolean): void {
  const uid = next.metadata?.uid
  checkName(next, info.name)
  if (uid && uid !== old.metadata?.uid) {
    const key = keyIn(served.stored.isNamespaced, info.namespace, info.name)
    const why = `StorageError: invalid object, Code: 4, Key: ${registryKey(served.stored, key, isDry)}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata?.uid}`
    throw conflict(served.info.group, served.info.resource, info.name, why)
  }
  // A custom resource's own rules look at its replicas.
  if (served.custom) return
  const replicas: unknown = next.spec?.replicas ?? 0
  if (typeof replicas === 'number' && replicas >= 0) return
  const detail = `Invalid value: ${JSON.stringify(replicas)}: must be greater than or equal to 0`
  throw invalid('autoscaling', 'Scale', info.name, [{ type: 'FieldValueInvalid', field: 'spec.replicas', detail }])
}

/** Paths are of the version of the request: so must the object be, where versions are more than names. */
const current = ({ served: { custom } }: ResourceCall, object: KubeObject): KubeObject =>
  custom?.isConvertedOutside ? custom.fromStored(object) : object

/** Each version of a custom resource has paths of its own. */
const scaleHooks = ({ served }: Pick<ResourceCall, 'served'>) => (served.custom ?? served.stored.definition).scale

function scaleOf({ served }: ResourceCall, object: KubeObject): Scale & KubeObject {
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
