/** The three kinds of patches. */
import type { KubeObject } from '../api/object.ts'
import type { ResourceCall } from './core.ts'
import { unsupportedMediaType } from './negotiation.ts'
import type { ServedResource } from './resource-registry.ts'

export function patcherOf(_call: ResourceCall, _served: ServedResource): (old: KubeObject) => KubeObject {
  throw unsupportedMediaType([])
}
