/** Admission of what opens a connection to a pod, a service or a node: plugins see the options in place of an object. */
import type { KubeObject } from '../../api/object.ts'
import { badRequest } from '../../api/status.ts'
import type { Core, ResourceCall } from '../core.ts'
import { admitOnly } from '../pipeline.ts'

export async function admitConnection(core: Core, call: ResourceCall, kind: string, options: KubeObject): Promise<void> {
  const { served, info, request } = call
  if (request.query.has('dryRun')) throw badRequest('dryRun is not supported')
  await admitOnly(
    core,
    {
      call,
      served,
      subresource: info.subresource,
      operation: 'CONNECT',
      namespace: info.namespace,
      name: info.name,
      old: undefined,
      isDryRun: false,
      options: { kind, apiVersion: 'v1' },
    },
    { kind, apiVersion: 'v1', ...options },
  )
}
