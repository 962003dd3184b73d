/** The real kubectl against proa with simulated nodes: its everyday verbs, without a warning. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, noKubectl, root, startCluster, webDeployment } from './harness.ts'

const deployment = (replicas: number, image = 'example.test/web:1') => `${webDeployment(replicas, image)}---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`

const widgets = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.test}
spec:
  group: example.test
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wg], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Color, type: string, jsonPath: .spec.color}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations: [{rule: "self.size < 8 || self.color == 'green'", message: large ones are green}]
            properties:
              size: {type: integer, description: How large it is., minimum: 1, maximum: 10}
              color: {type: string, enum: [red, green], default: red}
              replicas: {type: integer, default: 1}
          status: {type: object, properties: {replicas: {type: integer}}}
`
const widget = (size: number) => `apiVersion: example.test/v1
kind: Widget
metadata: {name: one, namespace: default}
spec: {size: ${size}}
`

test('everyday kubectl', { skip: noKubectl() }, async (t) => {
  const cluster = await startCluster(t, ['--runtime=simulated', '--nodes=2'])
  const file = join(cluster.dataDir, 'web.yaml')
  const { kubectl } = cluster

  await t.test('version, cluster-info, api-resources', async () => {
    assert.match(await kubectl('version'), /Server Version: v1\.36\.3/)
    assert.match(await kubectl('api-resources'), /^deployments +deploy +apps\/v1 +true +Deployment/m)
    assert.match(await kubectl('get', '--raw', '/readyz'), /^ok/)
  })

  await t.test('diff shows what apply would make', async () => {
    writeFileSync(file, deployment(3))
    const result = await cluster.tryKubectl(['diff', '-f', file])
    assert.equal(result.code, 1, result.stderr)
    assert.match(result.stdout, /\+ +replicas: 3/)
    assert.equal(result.stderr, '')
  })

  await t.test('apply, rollout status, get', async () => {
    assert.match(await kubectl('apply', '-f', file), /deployment.apps\/web created\nservice\/web created/)
    assert.match(await kubectl('rollout', 'status', 'deployment/web', '--timeout=30s'), /successfully rolled out/)
    assert.match(await kubectl('get', 'deployments'), /NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +3\/3 +3 +3 /)
    const pods = await kubectl('get', 'pods', '-l', 'app=web', '-o', 'wide')
    assert.match(pods, /NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES/)
    assert.equal(pods.match(/1\/1 +Running +0 /g)?.length, 3)
    assert.match(await kubectl('get', 'nodes'), / Ready .*v1\.36/)
    assert.match(await kubectl('get', 'service', 'web'), /ClusterIP +10\.96\.\d+\.\d+ +<none> +80\/TCP/)
    assert.match(await kubectl('get', 'all'), /replicaset.apps\/web-/)
    assert.equal(
      (
        await kubectl(
          'get',
          'endpointslices',
          '-l',
          'kubernetes.io/service-name=web',
          '-o',
          'jsonpath={.items[*].endpoints[*].addresses[0]}',
        )
      ).split(' ').length,
      3,
    )
  })

  await t.test('applying the same again changes nothing; a change is patched', async () => {
    assert.match(await kubectl('apply', '-f', file), /deployment.apps\/web unchanged\nservice\/web unchanged/)
    writeFileSync(file, deployment(3, 'example.test/web:2'))
    assert.match(await kubectl('apply', '-f', file), /deployment.apps\/web configured\nservice\/web unchanged/)
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=30s')
    assert.match(await kubectl('rollout', 'history', 'deployment/web'), /REVISION +CHANGE-CAUSE\n1 +<none>\n2 +<none>/)
    // kubectl itself warns here, whatever the server.
    assert.match((await cluster.tryKubectl(['rollout', 'undo', 'deployment/web'])).stdout, /rolled back/)
    await kubectl('rollout', 'status', 'deployment/web', '--timeout=30s')
    assert.equal(
      await kubectl('get', 'deployment', 'web', '-o', 'jsonpath={.spec.template.spec.containers[0].image}'),
      'example.test/web:1',
    )
  })

  await t.test('describe', async () => {
    const text = await kubectl('describe', 'deployment', 'web')
    assert.match(text, /Replicas: +3 desired \| 3 updated \| 3 total \| 3 available \| 0 unavailable/)
    assert.match(text, /ScalingReplicaSet/)
    // Events are written after what they tell of, in their own time.
    const name = (await kubectl('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}')).trim()
    await eventually('events are told', async () => {
      const pod = await kubectl('describe', 'pod', name)
      return /Successfully assigned default\/web-/.test(pod) && /Started/.test(pod)
    })
    assert.match(await kubectl('describe', 'node'), /Allocated resources:/)
    assert.match(await kubectl('describe', 'service', 'web'), /Endpoints: +10\./)
  })

  await t.test('scale and wait', async () => {
    assert.match(await kubectl('scale', 'deployment/web', '--replicas=5'), /scaled/)
    await kubectl('wait', 'deployment/web', '--for=jsonpath={.status.readyReplicas}=5', '--timeout=30s')
    await kubectl('wait', 'pods', '-l', 'app=web', '--for=condition=Ready', '--timeout=30s')
  })

  await t.test('logs and exec on a simulated container', async () => {
    const pod = (await kubectl('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}')).trim()
    assert.equal((await cluster.tryKubectl(['logs', pod])).code, 0)
    assert.equal((await cluster.tryKubectl(['exec', pod, '--', 'echo', 'hello'])).code, 0)
  })

  await t.test('edit, label, annotate, patch, set', async () => {
    const editor = join(cluster.dataDir, 'editor.sh')
    writeFileSync(editor, '#!/bin/sh\nsed -i "s/replicas: 5/replicas: 2/" "$1"\n', { mode: 0o755 })
    process.env.KUBE_EDITOR = editor
    t.after(() => delete process.env.KUBE_EDITOR)
    assert.match(await kubectl('edit', 'deployment', 'web'), /edited/)
    await kubectl('wait', 'deployment/web', '--for=jsonpath={.status.replicas}=2', '--timeout=30s')
    await kubectl('label', 'deployment', 'web', 'tier=front')
    await kubectl('annotate', 'deployment', 'web', 'note=yes')
    await kubectl('set', 'image', 'deployment/web', 'web=example.test/web:3')
    for (const [type, patch] of [
      ['strategic', '{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}'],
      ['merge', '{"metadata":{"labels":{"merged":"yes"}}}'],
      ['json', '[{"op":"add","path":"/metadata/labels/json","value":"yes"}]'],
    ] as const) {
      assert.match(await kubectl('patch', 'deployment', 'web', `--type=${type}`, '-p', patch), /patched/)
    }
    const labels = JSON.parse(await kubectl('get', 'deployment', 'web', '-o', 'jsonpath={.metadata.labels}'))
    assert.deepEqual(labels, { app: 'web', tier: 'front', merged: 'yes', json: 'yes' })
    assert.match(await kubectl('get', 'deployment', 'web', '-o', 'yaml'), /- env:\n +- name: A\n +value: "1"\n +image: example.test\/web:3/)
  })

  await t.test('explain', async () => {
    const text = await kubectl('explain', 'deployment.spec.strategy')
    assert.match(text, /GROUP: +apps\nKIND: +Deployment\nVERSION: +v1/)
    assert.match(text, /rollingUpdate\s+<RollingUpdateDeployment>/)
    assert.match(await kubectl('explain', 'pod.spec.containers.image'), /FIELD: image <string>/)
    assert.match(await kubectl('explain', 'pods', '--recursive'), /terminationGracePeriodSeconds/)
  })

  await t.test('the hello example, whose pods insist on not being root', async () => {
    await kubectl('apply', '-f', join(root, 'examples/hello/hello.yaml'))
    await kubectl('rollout', 'status', 'deployment/hello', '--timeout=30s')
    await kubectl('delete', '-f', join(root, 'examples/hello/hello.yaml'))
  })

  await t.test('create with generators', async () => {
    await kubectl('create', 'namespace', 'extra')
    await kubectl('create', 'configmap', 'settings', '--from-literal=a=1', '-n', 'extra')
    await kubectl('create', 'secret', 'generic', 'key', '--from-literal=k=v', '-n', 'extra')
    assert.match(await kubectl('get', 'configmap,secret', '-n', 'extra'), /configmap\/settings +1 [\s\S]*secret\/key +Opaque +1 /)
    await kubectl('create', 'deployment', 'made', '--image=example.test/made:1', '--replicas=2', '-n', 'extra')
    await kubectl('rollout', 'status', 'deployment/made', '-n', 'extra', '--timeout=30s')
    await kubectl('expose', 'deployment', 'made', '--port=80', '-n', 'extra')
    await kubectl('run', 'once', '--image=example.test/once:1', '--restart=Never', '-n', 'extra', '--', 'true')
    await kubectl('wait', 'pod/once', '-n', 'extra', '--for=jsonpath={.status.phase}=Succeeded', '--timeout=30s')
    assert.match(await kubectl('get', 'events', '-n', 'extra'), /SuccessfulCreate/)
    assert.match(await kubectl('auth', 'can-i', 'create', 'pods'), /yes/)
  })

  await t.test('watch', async () => {
    const watch = cluster.spawnKubectl('get', 'pods', '-w', '-o', 'name')
    let seen = ''
    watch.stdout.on('data', (data: Buffer) => (seen += data.toString()))
    await eventually('the watch begins', () => seen.includes('pod/web-'))
    await kubectl('create', 'configmap', 'unrelated')
    await kubectl('run', 'seen', '--image=example.test/seen:1')
    await eventually('the watch tells of the new pod', () => seen.includes('pod/seen'))
  })

  await t.test("a kind of one's own: apply, get, explain, patch, scale, delete", async () => {
    writeFileSync(join(cluster.dataDir, 'widgets.yaml'), widgets)
    assert.match(await kubectl('apply', '-f', join(cluster.dataDir, 'widgets.yaml')), /widgets.example.test created/)
    await kubectl('wait', '--for=condition=Established', 'crd/widgets.example.test', '--timeout=10s')
    const own = join(cluster.dataDir, 'widget.yaml')
    writeFileSync(own, widget(3))
    assert.match(await kubectl('apply', '-f', own), /widget.example.test\/one created/)
    assert.match(await kubectl('get', 'wg'), /NAME +SIZE +COLOR\none +3 +red\n/)
    assert.match(await kubectl('get', 'widgets', '-o', 'wide'), /NAME +SIZE +COLOR +REPLICAS\none +3 +red +1\n/)
    assert.match(await kubectl('get', 'all', '-n', 'default'), /widget.example.test\/one/)
    assert.match(await kubectl('explain', 'widget.spec.size'), /KIND: +Widget[\s\S]*FIELD: size <integer>[\s\S]*How large it is\./)
    assert.match(await kubectl('apply', '-f', own), /unchanged/)
    writeFileSync(own, widget(4))
    assert.match(await kubectl('apply', '-f', own), /configured/)
    assert.match(await kubectl('patch', 'widget', 'one', '--type=merge', '-p', '{"spec":{"color":"green"}}'), /patched/)
    assert.match(await kubectl('scale', 'widget/one', '--replicas=5'), /scaled/)
    assert.equal(await kubectl('get', 'wg', 'one', '-o', 'jsonpath={.spec}'), '{"color":"green","replicas":5,"size":4}')
    assert.match(await kubectl('get', 'widgets', '--field-selector=spec.color=green', '-o', 'name'), /widget.example.test\/one/)
    const wrong = await cluster.tryKubectl(['patch', 'widget', 'one', '--type=merge', '-p', '{"spec":{"size":11}}'])
    assert.match(wrong.stderr, /spec.size: Invalid value: 11: spec.size in body should be less than or equal to 10/)
    const broken = await cluster.tryKubectl(['patch', 'widget', 'one', '--type=merge', '-p', '{"spec":{"color":"red","size":9}}'])
    assert.match(broken.stderr, /spec: Invalid value: large ones are green/)
    writeFileSync(own, widget(3).replace('size', 'sise'))
    const strict = await cluster.tryKubectl(['create', '--dry-run=server', '-f', own])
    assert.match(strict.stderr, /strict decoding error: unknown field "spec.sise"/)
    assert.match(await kubectl('delete', 'crd', 'widgets.example.test', '--timeout=20s'), /deleted/)
    // kubectl remembers for a while what it has discovered.
    assert.match(
      (await cluster.tryKubectl(['get', 'widgets'])).stderr,
      /(?:could not find the requested resource|doesn't have a resource type)/,
    )
  })

  await t.test('server-side apply: create, diff, conflict, force, migration from client-side apply', async () => {
    const own = join(cluster.dataDir, 'applied.yaml')
    const config = (name: string, data: string) => `apiVersion: v1
kind: ConfigMap
metadata: {name: ${name}}
data: {${data}}
`
    writeFileSync(own, config('shared', 'a: "1", b: "1"'))
    assert.equal(await kubectl('apply', '--server-side', '-f', own), 'configmap/shared serverside-applied\n')
    const same = await cluster.tryKubectl(['diff', '--server-side', '-f', own])
    assert.deepEqual([same.code, same.stdout], [0, ''], same.stderr)
    writeFileSync(own, config('shared', 'a: "2"'))
    const diff = await cluster.tryKubectl(['diff', '--server-side', '-f', own])
    assert.equal(diff.code, 1, diff.stderr)
    assert.match(diff.stdout, /-  b: "1"/)
    assert.match(diff.stdout, /\+  a: "2"/)
    await kubectl('apply', '--server-side', '-f', own)
    assert.equal(await kubectl('get', 'configmap', 'shared', '-o', 'jsonpath={.data}'), '{"a":"2"}')
    writeFileSync(own, config('shared', 'a: "3"'))
    const conflict = await cluster.tryKubectl(['apply', '--server-side', '--field-manager=ci', '-f', own])
    assert.match(conflict.stderr, /Apply failed with 1 conflict: conflict with "kubectl": \.data\.a/)
    await kubectl('apply', '--server-side', '--field-manager=ci', '--force-conflicts', '-f', own)
    const shown = await kubectl('get', 'configmap', 'shared', '-o', 'yaml', '--show-managed-fields')
    assert.match(shown, /manager: ci\n {4}operation: Apply/)
    assert.doesNotMatch(await kubectl('get', 'configmap', 'shared', '-o', 'yaml'), /managedFields/)
    writeFileSync(own, config('old', 'a: "1", b: "1"'))
    await kubectl('apply', '-f', own)
    writeFileSync(own, config('old', 'a: "2"'))
    await kubectl('apply', '--server-side', '-f', own)
    assert.equal(await kubectl('get', 'configmap', 'old', '-o', 'jsonpath={.data}'), '{"a":"2"}')
    await kubectl('delete', 'configmap', 'shared', 'old')
  })

  await t.test('delete, and namespace deletion', async () => {
    assert.match(await kubectl('delete', '-f', file), /deployment.apps "web" deleted/)
    await kubectl('wait', 'pods', '-l', 'app=web', '--for=delete', '--timeout=30s')
    assert.match(await kubectl('delete', 'namespace', 'extra', '--timeout=30s'), /namespace "extra" deleted/)
    const gone = await cluster.tryKubectl(['get', 'namespace', 'extra'])
    assert.equal(gone.stderr, 'Error from server (NotFound): namespaces "extra" not found\n')
  })
})
