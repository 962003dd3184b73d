import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceQuota } from '../../api/generated/core/v1.ts'
import type { KubeObject } from '../../api/object.ts'
import { quotaEvaluatorOf } from '../../api/quota/evaluators.ts'
import { planQuotaStatus } from './plan.ts'

const counted = (resource: string, ...objects: readonly KubeObject[]) => ({ evaluator: quotaEvaluatorOf('', resource)!, objects })
const pod = (cpu: string, priorityClassName?: string): KubeObject => ({
  spec: { containers: [{ name: 'c', resources: { requests: { cpu } } }], ...(priorityClassName ? { priorityClassName } : {}) },
})
const quota = (hard: Record<string, string>, rest: object = {}, status?: ResourceQuota['status']): ResourceQuota => ({
  spec: { hard, ...rest },
  ...(status ? { status } : {}),
})

test('usage is summed over the kinds that count for a name', () => {
  const status = planQuotaStatus(
    quota({ pods: '9', cpu: '2', secrets: '5' }),
    [counted('pods', pod('100m'), pod('1')), counted('secrets')],
    0,
  )
  assert.deepEqual(status, { hard: { pods: '9', cpu: '2', secrets: '5' }, used: { pods: '2', cpu: '1100m', secrets: '0' } })
})

test('scopes choose the objects', () => {
  const matchExpressions = [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }]
  const scoped = quota({ pods: '9' }, { scopeSelector: { matchExpressions } })
  assert.equal(planQuotaStatus(scoped, [counted('pods', pod('1', 'high'), pod('1'))], 0)?.used?.['pods'], '1')
})

test('what nothing counts keeps what it had; names that are no longer limited go', () => {
  const before = { hard: { x: '1', pods: '1' }, used: { 'count/gone.example.com': '3', pods: '1' } }
  const status = planQuotaStatus(quota({ 'count/gone.example.com': '5' }, {}, before), [], 0)
  assert.deepEqual(status, { hard: { 'count/gone.example.com': '5' }, used: { 'count/gone.example.com': '3' } })
})

test('the same amounts written otherwise are no change', () => {
  const status = { hard: { cpu: '1' }, used: { cpu: '0.5' } }
  assert.equal(planQuotaStatus(quota({ cpu: '1000m' }, {}, status), [counted('pods', pod('500m'))], 0), status)
})
