/** From the discovery of one group version (APIResourceList) to its part of the aggregated document (APIGroupDiscovery). */
import type { APIService } from '../../api/generated/apiregistration/v1.ts'
import type { APIGroupDiscovery, APIResource } from '../discovery.ts'

export interface ResourceList {
  readonly resources: readonly APIResource[]
}

/** The most resources that a server behind us may name. */
const MAX_RESOURCES = 1_000

/** Takes an answer for a list; undefined when it is none. */
export function parseResourceList(text: string): ResourceList | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // Not JSON: no list.
    return undefined
  }
  const { kind, resources } = (parsed ?? {}) as { readonly kind?: unknown; readonly resources?: unknown }
  if (kind !== 'APIResourceList' || !Array.isArray(resources)) return undefined
  return { resources: resources.filter(isResource).slice(0, MAX_RESOURCES) }
}

function isResource(value: unknown): value is APIResource {
  const { name, kind, namespaced, verbs } = (value ?? {}) as Partial<Record<keyof APIResource, unknown>>
  return typeof name === 'string' && typeof kind === 'string' && typeof namespaced === 'boolean' && Array.isArray(verbs)
}

/** Subresources ("flunders/status") stand below their resource. */
export function groupVersionOf({ spec }: APIService, { resources }: ResourceList): APIGroupDiscovery['versions'][number] {
  const kindOf = ({ group, version, kind }: APIResource) => ({
    group: group || (spec?.group ?? ''),
    version: version || (spec?.version ?? ''),
    kind,
  })
  const below = (parent: string) =>
    resources.flatMap((item) =>
      item.name.startsWith(`${parent}/`)
        ? [{ subresource: item.name.slice(parent.length + 1), responseKind: kindOf(item), verbs: item.verbs }]
        : [],
    )
  const whole = resources.filter(({ name }) => !name.includes('/'))
  return {
    version: spec?.version ?? '',
    freshness: 'Current',
    resources: whole.map((item) => {
      const subresources = below(item.name)
      return {
        resource: item.name,
        responseKind: kindOf(item),
        scope: item.namespaced ? 'Namespaced' : 'Cluster',
        singularResource: item.singularName ?? '',
        verbs: item.verbs,
        ...(item.shortNames ? { shortNames: item.shortNames } : {}),
        ...(item.categories ? { categories: item.categories } : {}),
        ...(subresources.length > 0 ? { subresources } : {}),
      }
    }),
  }
}
