import type { DeviceTaintRule } from '../../../api/generated/resource/v1beta2.ts'
import { timestamp } from '../../../base/clock.ts'
import { defineResource } from '../../resource.ts'
import { nameToAge, text } from '../columns.ts'
import { timeSince } from '../duration.ts'

/** DeviceTaintRules: devices that an administrator keeps pods off. */
export const deviceTaintRules = defineResource({
  group: 'resource.k8s.io',
  version: 'v1beta2',
  kind: 'DeviceTaintRule',
  hasGeneration: true,
  columns: nameToAge(
    text('Key', ({ spec }: DeviceTaintRule) => spec?.taint?.key ?? ''),
    text('Value', ({ spec }: DeviceTaintRule) => spec?.taint?.value ?? ''),
    text('Effect', ({ spec }: DeviceTaintRule) => spec?.taint?.effect ?? ''),
    text('TimeAdded', ({ spec }: DeviceTaintRule, nowMs) => (spec?.taint?.timeAdded ? timeSince(spec.taint.timeAdded, nowMs) : '')),
  ),
  // When a taint was added is the time of the write that brought it.
  prepareForCreate(rule, { runtime }) {
    const taint = rule.spec?.taint
    return taint && !taint.timeAdded ? { ...rule, spec: { ...rule.spec, taint: { ...taint, timeAdded: timestamp(runtime.clock) } } } : rule
  },
})
