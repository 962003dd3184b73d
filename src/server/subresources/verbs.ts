/** What the subresources have in common: methods, bodies of another kind, plain success. */
import type { ApiResponse } from '../../api/exchange.ts'
import type { KubeObject } from '../../api/object.ts'
import { apiVersionOf, type GroupVersionKind, type Verb } from '../../api/schema.ts'
import { noRoute, verbNotSupported } from '../../api/status.ts'
import { decodeBody } from '../body.ts'
import { rulesOf } from '../builtin-rules.ts'
import type { Call, ResourceCall } from '../core.ts'
import { Computed } from '../revision.ts'

/** Refuses a method that the subresource does not have. */
export function checkVerb({ served, info }: ResourceCall): void {
  if (served.subresources.get(info.subresource)?.verbs.includes(info.verb as Verb)) return
  throw served.custom ? verbNotSupported(served.info.group, served.info.resource, info.verb) : noRoute()
}

/** The body as the kind, with the schema's defaults. */
export function decodeAs(call: Call, gvk: GroupVersionKind, alsoAccepts: readonly string[] = []): KubeObject {
  const rules = rulesOf(gvk)
  return rules.defaults(decodeBody(call, { apiVersion: apiVersionOf(gvk), kind: gvk.kind, rules, alsoAccepts }))
}

export const success = (status: number): ApiResponse => ({
  type: 'object',
  status,
  stored: new Computed({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: status }),
})
