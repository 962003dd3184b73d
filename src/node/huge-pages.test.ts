import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../api/generated/core/v1.ts'
import { hugePageLimits, pageSizeName, pageSizeOf } from './huge-pages.ts'

const MI = 2 ** 20
const pod = (...requests: readonly Record<string, string>[]): Pod => ({
  spec: { containers: requests.map((one, i) => ({ name: `c${i}`, resources: { requests: one, limits: one } })) },
})

test('huge pages: names of sizes, and limits for each that the node has', () => {
  assert.deepEqual([2 * MI, 1024 * MI, 64 * 1024].map(pageSizeName), ['2Mi', '1Gi', '64Ki'])
  const one = pod({ 'hugepages-2Mi': '4Mi' })
  assert.deepEqual(hugePageLimits({ '2Mi': 0, '1Gi': 0 }, one, one.spec!.containers[0]!.resources), [
    { pageSize: '2MB', limitBytes: 4 * MI },
    { pageSize: '1GB', limitBytes: 0 },
  ])
  const shared: Pod = { spec: { containers: [], resources: { limits: { 'hugepages-1Gi': '1Gi' } } } }
  assert.deepEqual(hugePageLimits({ '1Gi': 0 }, shared), [{ pageSize: '1GB', limitBytes: 1024 * MI }])
})

test('huge pages: a volume has the size that its medium or its pod names', () => {
  const both = pod({ 'hugepages-2Mi': '2Mi' }, { 'hugepages-1Gi': '1Gi' })
  assert.equal(pageSizeOf('HugePages', pod({ 'hugepages-2Mi': '2Mi' }, { cpu: '1' })), '2Mi')
  assert.equal(pageSizeOf('HugePages-1Gi', both), '1Gi')
  assert.throws(() => pageSizeOf('HugePages', both), {
    message: "medium: HugePages can't be used if container requests multiple huge page sizes",
  })
  assert.throws(() => pageSizeOf('HugePages-2Mi', pod({ cpu: '1' })), {
    message: 'medium HugePages-2Mi: hugePages storage requested, but there is no resource request for huge pages',
  })
})
