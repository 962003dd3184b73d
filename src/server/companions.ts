/**
 * Objects that are there exactly as long as another one asks for them (the IPAddresses of a Service): written and deleted in the
 * commit of the other, so that neither is ever seen without it.
 */
import type { KubeObject } from '../api/object.ts'
import type { Change } from '../store/store.ts'
import type { Core } from './core.ts'
import { fillSystemFields } from './metadata.ts'
import type { Companion } from './resource.ts'
import type { StoredKind } from './resource-registry.ts'
import { serialise } from './revision.ts'

const nameOf = ({ kind, object: { metadata } }: Companion): string => `${kind} ${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`

/** What changes beside an object that becomes another one; undefined is none, before or after. */
export function companionChanges(
  core: Core,
  { definition }: StoredKind,
  old: KubeObject | undefined,
  next: KubeObject | undefined,
): readonly Change[] {
  if (!definition.companions) return []
  const before = old ? definition.companions(old) : []
  const after = next ? definition.companions(next) : []
  const [had, has] = [new Set(before.map(nameOf)), new Set(after.map(nameOf))]
  return [
    ...before.filter((companion) => !has.has(nameOf(companion))).flatMap((companion) => change(core, companion, false)),
    ...after.filter((companion) => !had.has(nameOf(companion))).flatMap((companion) => change(core, companion, true)),
  ]
}

function change({ registry, runtime }: Core, { kind, object }: Companion, isPut: boolean): readonly Change[] {
  const served = registry.ofKind(kind)
  if (!served) return []
  const { namespace, name } = object.metadata!
  const key = served.stored.prefix + (served.stored.isNamespaced ? `${namespace}/${name}` : name)
  if (!isPut) return [{ key, value: undefined }]
  const filled = fillSystemFields(runtime, { apiVersion: served.apiVersion, kind: served.info.kind, ...object })
  return [{ key, value: serialise(filled), decoded: filled, expected: 0 }]
}
