/** The objects that a binding hands its policy as `params` (upstream: policy/generic/policy_dispatcher.go, CollectParams). */
import type { ParamKind, ParamRef } from '../../../api/generated/admissionregistration/v1.ts'
import type { KubeObject } from '../../../api/object.ts'
import { compileLabelSelector } from '../../../api/selectors.ts'
import type { ResourceRegistry } from '../../resource-registry.ts'

/** `null` alone where the policy has no parameters. Throws an Error where the binding cannot be followed. */
export function collectParams(
  registry: ResourceRegistry,
  kind: ParamKind | undefined,
  ref: ParamRef | undefined,
  requestNamespace: string | undefined,
): readonly (KubeObject | null)[] {
  if (!kind || !ref) return [null]
  const served = registry.ofKind(`${kind.apiVersion}/${kind.kind}`)
  if (!served) throw new Error(`paramKind kind \`&ParamKind{APIVersion:${kind.apiVersion ?? ''},Kind:${kind.kind ?? ''},}\` not known`)
  const { stored, custom } = served
  if (ref.namespace && !stored.isNamespaced) throw new Error('paramRef.namespace must not be provided for a cluster-scoped `paramKind`')
  const namespace = ref.namespace || requestNamespace
  if (stored.isNamespaced && !namespace) {
    throw new Error('cannot use namespaced paramRef in policy binding that matches cluster-scoped resources')
  }
  const prefix = stored.isNamespaced ? `${namespace}/` : ''
  const found = find(stored.cache, prefix, ref)
  if (found.length === 0 && ref.parameterNotFoundAction === 'Deny') {
    throw new Error('no params found for policy binding with `Deny` parameterNotFoundAction')
  }
  return custom ? found.map((object) => custom.fromStored(object)) : found
}

type Cache = NonNullable<ReturnType<ResourceRegistry['ofKind']>>['stored']['cache']

function find(cache: Cache, prefix: string, { name, selector }: ParamRef): readonly KubeObject[] {
  if (name) {
    const object = cache.get(prefix + name)?.object
    return object ? [object] : []
  }
  if (!selector) throw new Error('one of name or selector must be provided')
  const matches = compileLabelSelector(selector)
  const found: KubeObject[] = []
  cache.walk(prefix, undefined, ({ object }) => {
    if (matches(object.metadata?.labels ?? {})) found.push(object)
  })
  return found
}
