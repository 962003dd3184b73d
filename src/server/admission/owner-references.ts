/**
 * OwnerReferencesPermissionEnforcement: whoever gives an object an owner could delete it by that owner, and so must be allowed to; whoever
 * makes an owner wait for it must be allowed to set that owner's finalizers. Off by default.
 */
import type { OwnerReference } from '../../api/generated/meta/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { parseApiVersion } from '../../api/schema.ts'
import { deepEqual } from '../../base/deep-equal.ts'
import { admissionDenied, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts'
import { MASTERS, type Attributes, type Authorizer } from '../authorization/authorizer.ts'
import type { ResourceRegistry } from '../resource-registry.ts'

const ownersOf = (object: KubeObject | undefined): readonly OwnerReference[] => object?.metadata?.ownerReferences ?? []

/** Owners that are made to wait and were not before. */
function newlyBlocking({ object, oldObject }: AdmissionAttributes): readonly OwnerReference[] {
  const before = new Set(
    ownersOf(oldObject)
      .filter(({ blockOwnerDeletion }) => blockOwnerDeletion)
      .map(({ uid }) => uid),
  )
  return ownersOf(object).filter(({ blockOwnerDeletion, uid }) => blockOwnerDeletion && !before.has(uid))
}

export function ownerReferencesPermissionEnforcement(registry: ResourceRegistry, authorizer: Authorizer): AdmissionPlugin {
  const refusalOf = async ({ user }: AdmissionAttributes, asked: Omit<Attributes, 'user' | 'isResource' | 'path'>) => {
    const verdict = await authorizer.authorize({ ...asked, user, isResource: true, path: '' })
    return verdict.isAllowed ? undefined : `${verdict.reason}, <nil>`
  }
  return {
    name: 'OwnerReferencesPermissionEnforcement',
    handles: ({ operation, resource, subresource, object, oldObject, user }) =>
      (operation === 'CREATE' || operation === 'UPDATE') &&
      !(resource.group === '' && resource.resource === 'pods' && subresource === 'status') &&
      !user.groups.includes(MASTERS) &&
      !deepEqual(ownersOf(object), ownersOf(oldObject)),
    async validate(attributes) {
      const { operation, resource, subresource = '', namespace = '', name } = attributes
      if (operation !== 'CREATE') {
        const { group, version } = resource
        const why = await refusalOf(attributes, {
          verb: 'delete',
          group,
          version,
          resource: resource.resource,
          subresource,
          namespace,
          name,
        })
        if (why !== undefined) throw admissionDenied(attributes, `cannot set an ownerRef on a resource you can't delete: ${why}`)
      }
      const blocking = newlyBlocking(attributes)
      if (blocking.length === 0) return
      const finalizers = { verb: 'update', subresource: 'finalizers' }
      if ((await refusalOf(attributes, { ...finalizers, group: '*', version: '*', resource: '*', namespace: '', name: '*' })) === undefined)
        return
      for (const owner of blocking) {
        const { group, version } = parseApiVersion(owner.apiVersion)
        const served = registry.ofKind(`${owner.apiVersion}/${owner.kind}`)
        if (!served) {
          throw admissionDenied(
            attributes,
            `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${owner.apiVersion} Kind ${owner.kind}: no matches for kind ${JSON.stringify(owner.kind)} in version ${JSON.stringify(owner.apiVersion)}`,
          )
        }
        const of = served.info.namespaced ? namespace : ''
        const why = await refusalOf(attributes, {
          ...finalizers,
          group,
          version,
          resource: served.info.resource,
          namespace: of,
          name: owner.name,
        })
        if (why !== undefined) {
          throw admissionDenied(
            attributes,
            `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: ${why}`,
          )
        }
      }
    },
  }
}
