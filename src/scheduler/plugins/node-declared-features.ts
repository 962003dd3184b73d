/** A pod that needs what not every kubelet can do goes to nodes that declare it (KEP-5328). */
import type { Pod } from '../../api/generated/core/v1.ts'
import { definePlugin, impossible } from '../framework.ts'

const REFUSED = impossible("node(s) didn't match Pod's required features")

/** What each feature is needed for, as v1.36 knows them. */
const features: readonly (readonly [name: string, isNeeded: (pod: Pod) => boolean])[] = [
  [
    'RestartAllContainersOnContainerExits',
    ({ spec }) =>
      [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(({ restartPolicyRules }) =>
        restartPolicyRules?.some(({ action }) => action === 'RestartAllContainers'),
      ),
  ],
  ['UserNamespacesHostNetworkSupport', ({ spec }) => spec?.hostNetwork === true && spec.hostUsers === false],
]

const needs = (pod: Pod): readonly string[] => features.filter(([, isNeeded]) => isNeeded(pod)).map(([name]) => name)

export const nodeDeclaredFeatures = definePlugin<readonly string[]>({
  name: 'NodeDeclaredFeatures',
  preFilter({ pod }) {
    const wanted = needs(pod)
    return wanted.length === 0 ? { skip: true } : { state: wanted }
  },
  filter: (wanted, _pod, { node }) => (wanted.every((name) => node.status?.declaredFeatures?.includes(name)) ? undefined : REFUSED),
  template: ({ pod }) => needs(pod).join(),
  requeueOn: [{ on: ['node-added', 'node-features'] }],
})
