/**
 * A change that the server itself makes to a pod because a subresource was asked for (binding, eviction): not admitted again and
 * not cut to a part, tried again when another write came between.
 */
import type { Pod } from '../../api/generated/core/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { modifiedConflict, notFound } from '../../api/status.ts'
import type { Core, ResourceCall } from '../core.ts'
import { store } from '../pipeline.ts'
import { get } from '../read.ts'
import type { Revision } from '../revision.ts'

/** How often; each time something else has changed the pod in between. */
const ATTEMPTS = 20

export async function changeInternally(
  core: Core,
  call: ResourceCall,
  make: (pod: Pod) => Pod,
  { options, isDryRun }: { readonly options: KubeObject; readonly isDryRun: boolean },
): Promise<Revision> {
  const { served, info } = call
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const old = await get(core, served, `${info.namespace}/${info.name}`, info.name, '')
    const next = make(old.object) as KubeObject
    const write = {
      call,
      served,
      subresource: info.subresource,
      operation: 'UPDATE',
      namespace: info.namespace,
      name: info.name,
      old,
      isDryRun,
      options,
      isInternal: true,
    } as const
    const outcome = await store(core, write, next)
    if (outcome.type === 'stored') return outcome.revision
    if (!outcome.current) throw notFound('', 'pods', info.name)
  }
  throw modifiedConflict('', 'pods', info.name)
}
