/** A pod stays on a node that fails for five minutes, unless it says how long itself. */
import type { Toleration } from '../../api/generated/core/v1.ts'
import type { AdmissionPlugin } from '../admission.ts'
import { changeSpec, isPodWrite, podOf } from './pods.ts'

export interface DefaultTolerationOptions {
  readonly notReadySeconds: number
  readonly unreachableSeconds: number
}

const toleratesNoExecute = (tolerations: readonly Toleration[], key: string): boolean =>
  tolerations.some((toleration) => (toleration.key === key || !toleration.key) && (toleration.effect === 'NoExecute' || !toleration.effect))

export function defaultTolerationSeconds({ notReadySeconds, unreachableSeconds }: DefaultTolerationOptions): AdmissionPlugin {
  const defaults: readonly Toleration[] = [
    { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: notReadySeconds },
    { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: unreachableSeconds },
  ]
  return {
    name: 'DefaultTolerationSeconds',
    handles: (attributes) => isPodWrite(attributes) && (attributes.operation === 'CREATE' || attributes.operation === 'UPDATE'),
    admit(attributes) {
      const pod = podOf(attributes)
      return (
        pod &&
        changeSpec(pod, (spec) => {
          const tolerations = spec.tolerations ?? []
          const missing = defaults.filter(({ key }) => !toleratesNoExecute(tolerations, key ?? ''))
          return missing.length === 0 ? spec : { ...spec, tolerations: [...tolerations, ...missing] }
        })
      )
    },
  }
}
