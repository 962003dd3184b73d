/** Policies with what upstream's controller told of them (kube-controller-manager v1.36.3). */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { TypeChecking, ValidatingAdmissionPolicySpec } from '../../api/generated/admissionregistration/v1.ts'
import { Cluster } from '../../cluster/cluster.ts'

interface Recorded {
  readonly spec: ValidatingAdmissionPolicySpec
  readonly typeChecking: TypeChecking
}

const KIND = 'admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy'
const recorded = JSON.parse(readFileSync(new URL('testdata/recorded.json', import.meta.url), 'utf8')) as readonly Recorded[]

test('the status tells what expressions get wrong', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const spec = {
    type: 'object',
    properties: {
      size: { type: 'integer' },
      names: { type: 'array', items: { type: 'string' } },
      any: { 'x-kubernetes-preserve-unknown-fields': true },
      port: { 'x-kubernetes-int-or-string': true },
    },
  }
  await cluster.client.create('apiextensions.k8s.io/v1/CustomResourceDefinition', {
    metadata: { name: 'widgets.a.test' },
    spec: {
      group: 'a.test',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { spec } } } }],
    },
  })
  await cluster.advance(1000)
  for (const [index, { spec: policy, typeChecking }] of recorded.entries()) {
    const name = `p${index}`
    await cluster.client.create(KIND, { metadata: { name }, spec: policy })
    const found = await cluster.until(KIND, { name }, (policy) => policy?.status?.observedGeneration !== undefined)
    assert.deepEqual(found?.status?.typeChecking, typeChecking)
  }
})

test('variables and parameters are of the types that they are found to be', async () => {
  await using cluster = await Cluster.start({ clock: 'virtual' })
  const rule = { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['deployments'] }
  await cluster.client.create(KIND, {
    metadata: { name: 'p' },
    spec: {
      matchConstraints: { resourceRules: [rule] },
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      variables: [{ name: 'count', expression: 'object.spec.replicas' }],
      validations: [
        { expression: 'variables.count > 1', messageExpression: "'a' + variables.count" },
        { expression: 'params.data.x == 1' },
      ],
    },
  })
  const found = await cluster.until(KIND, { name: 'p' }, (policy) => policy?.status?.observedGeneration === 1)
  assert.deepEqual(
    found?.status?.typeChecking?.expressionWarnings?.map(({ fieldRef, warning }) => [fieldRef, warning?.split('\n')[0]]),
    [
      [
        'spec.validations[0].messageExpression',
        "apps/v1, Kind=Deployment: ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'",
      ],
      [
        'spec.validations[1].expression',
        "apps/v1, Kind=Deployment: ERROR: <input>:1:15: found no matching overload for '_==_' applied to '(string, int)'",
      ],
    ],
  )
})
