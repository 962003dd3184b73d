/** Fills ClusterRoles that are made of others (`aggregationRule`), such as admin, edit and view. */
import { keyOf } from '../../api/object.ts'
import { watch } from '../controller.ts'
import type { Controller } from '../controller.ts'
import { planRules } from './plan.ts'

const KIND = 'rbac.authorization.k8s.io/v1/ClusterRole'

export const clusterRoleAggregationController: Controller = {
  name: 'clusterrole-aggregation',
  component: 'clusterrole-aggregation-controller',
  reads: [KIND],
  writes: [KIND],
  watches: [
    // There are few roles, and any may count for any: all that are made of others are looked at.
    watch(KIND, (_change, caches) => [...caches.of(KIND).values()].filter((role) => role.aggregationRule !== undefined).map(keyOf)),
  ],
  async reconcile(key, { client, caches }) {
    const role = caches.of(KIND).get(key)
    if (!role?.aggregationRule) return
    const rules = planRules(role, caches.of(KIND).list())
    if (rules !== role.rules) await client.update(KIND, { ...role, rules: rules ?? [] })
  },
}
