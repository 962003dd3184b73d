/** What discovery and OpenAPI tell of: built-in resources in their order, then custom ones by group, best version and name. */
import type { ResourceInfo } from '../../api/schema.ts'
import type { ResourceRegistry, ServedResource } from '../resource-registry.ts'
import { compareVersions } from './version-order.ts'

const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

export function discoverable(builtIn: readonly ResourceInfo[], registry: ResourceRegistry): readonly ResourceInfo[] {
  const infoOf = ({ info, custom }: ServedResource): ResourceInfo => custom?.discovered ?? info
  const customs = [...registry.served()]
    .filter(({ custom }) => custom)
    .map(infoOf)
    .toSorted((a, b) => byName(a.group, b.group) || compareVersions(a.version, b.version) || byName(a.resource, b.resource))
  return [...builtIn, ...customs]
}
