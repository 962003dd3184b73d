/** The order of versions by their names, best first: v2, v1, v1beta2, v1beta1, v1alpha1, and then all others by the alphabet. */

const KUBE_VERSION = /^v(\d+)(?:(alpha|beta)(\d+))?$/
const STAGES = ['alpha', 'beta', undefined]

/** As apimachinery's version.CompareKubeAwareVersionStrings, for sorting the best first. */
export function compareVersions(a: string, b: string): number {
  if (a === b) return 0
  const [x, y] = [KUBE_VERSION.exec(a), KUBE_VERSION.exec(b)]
  if (!x || !y) return x ? -1 : y ? 1 : a < b ? -1 : 1
  const stage = STAGES.indexOf(y[2]) - STAGES.indexOf(x[2])
  if (stage !== 0) return stage
  return Number(y[1]) - Number(x[1]) || Number(y[3] ?? 0) - Number(x[3] ?? 0)
}
