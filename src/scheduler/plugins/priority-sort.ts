/** The order of waiting pods: the higher priority first, then the one that waits for longer. */
import { definePlugin } from '../framework.ts'

export const prioritySort = definePlugin({
  name: 'PrioritySort',
  queueSort: (a, b) => (a.info.priority === b.info.priority ? a.timestampMs < b.timestampMs : a.info.priority > b.info.priority),
})
