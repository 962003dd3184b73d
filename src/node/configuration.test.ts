import assert from 'node:assert/strict'
import { test } from 'node:test'
import { durationMs, nodeConfiguration } from './configuration.ts'

test('what is not said is as upstream has it', () => {
  const { containerLogMaxSize, evictionHard, imageGCHighThresholdPercent, maxPods } = nodeConfiguration()
  assert.deepEqual([containerLogMaxSize, imageGCHighThresholdPercent, maxPods], ['10Mi', 85, 110])
  assert.deepEqual([evictionHard['memory.available'], evictionHard['imagefs.available']], ['100Mi', '15%'])
})

test('durations as Go writes them', () => {
  for (const [text, ms] of [
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['250ms', 250],
  ] as const)
    assert.equal(durationMs(text), ms)
  for (const wrong of ['', '10', 's', '10 s', '-1s']) assert.throws(() => durationMs(wrong), /invalid duration/)
})

test('contradictions and unknown words are refused', () => {
  for (const [given, message] of [
    [{ imageGCHighThresholdPercent: 80 }, /less than imageGCHighThresholdPercent/],
    [{ containerLogMaxFiles: 1 }, /containerLogMaxFiles must be greater than 1/],
    [{ evictionHard: { 'memory.used': '1Gi' } }, /unsupported eviction signal memory.used/],
    [{ evictionHard: { 'nodefs.available': '101%' } }, /must be <= 100%/],
    [{ evictionSoft: { 'memory.available': '1Gi' } }, /grace period must be specified for the soft eviction threshold memory.available/],
    [{ shutdownGracePeriodCriticalPods: '1s' }, /must be <= shutdownGracePeriod/],
    [{ maxPods: '7' }, /maxPods: wrong type/],
    [{ swapBehavior: 'none' }, /unknown field "swapBehavior"/],
  ] as const)
    assert.throws(() => nodeConfiguration(given as never), message)
})
