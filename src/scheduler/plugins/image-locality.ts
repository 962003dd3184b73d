/** Prefers nodes that have the pod's large images already, tempered by how many nodes have them, so that none draws all pods. */
import { definePlugin, MAXIMUM_SCORE } from '../framework.ts'
import { normalisedImage } from '../node-info.ts'
import type { PodInfo } from '../pod-info.ts'

const MB = 1024 * 1024
const MINIMUM_BYTES = 23 * MB
const MAXIMUM_BYTES_A_CONTAINER = 1000 * MB

function imagesOf({ pod }: PodInfo): readonly string[] {
  const images: string[] = []
  for (const container of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])])
    if (container.image) images.push(normalisedImage(container.image))
  for (const { image } of pod.spec?.volumes ?? []) if (image?.reference) images.push(normalisedImage(image.reference))
  return images
}

interface State {
  readonly images: readonly string[]
  readonly maximumBytes: number
}

export const imageLocality = definePlugin<undefined, State>({
  name: 'ImageLocality',
  preScore(pod) {
    const containers = (pod.pod.spec?.initContainers?.length ?? 0) + (pod.pod.spec?.containers.length ?? 0)
    return { state: { images: imagesOf(pod), maximumBytes: MAXIMUM_BYTES_A_CONTAINER * containers } }
  },
  // How common an image is weighs in, so what is remembered holds while that stays.
  template(pod, snapshot) {
    const containers = (pod.pod.spec?.initContainers?.length ?? 0) + (pod.pod.spec?.containers.length ?? 0)
    const spread = imagesOf(pod).map((image) => [image, snapshot.imageSpread(image)] as const)
    // Images that no node has add nothing, whatever their names.
    const known = spread.filter(([, count]) => count > 0)
    return JSON.stringify([containers, known, known.length > 0 ? snapshot.nodes.length : 0])
  },
  score({ images, maximumBytes }, _pod, node, snapshot) {
    let sum = 0
    for (const image of images) {
      const size = node.images.get(image)
      if (size !== undefined) sum += Math.trunc(size * (snapshot.imageSpread(image) / snapshot.nodes.length))
    }
    const bounded = Math.min(Math.max(sum, MINIMUM_BYTES), maximumBytes)
    return Math.trunc((MAXIMUM_SCORE * (bounded - MINIMUM_BYTES)) / (maximumBytes - MINIMUM_BYTES))
  },
})
