/** kubectl's verbs against upstream's server and proa's: what they print and how they end is the same. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { builtPrograms } from '../../upstream/programs.ts'
import { command, webDeployment, type CommandResult } from '../harness.ts'
import { noUpstream, startServers, type Server } from './servers.ts'

interface Step {
  /** Parted at spaces; quotes hold together. */
  readonly run: string
  readonly stdin?: string
  /** What sed does to the file that is edited. */
  readonly edit?: string
}

const configMap = (name: string, data: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {${data}}\n`
const steps: readonly Step[] = [
  { run: 'create namespace {ns}' },
  { run: 'create serviceaccount default' },
  { run: 'apply -f -', stdin: configMap('a', 'a: "1", b: "2"') },
  { run: 'apply -f -', stdin: configMap('a', 'a: "1", b: "2"') },
  { run: 'diff -f -', stdin: configMap('a', 'a: "2"') },
  { run: 'apply -f - --dry-run=server -o yaml', stdin: configMap('a', 'a: "2"') },
  { run: 'apply -f -', stdin: configMap('a', 'a: "2"') },
  { run: 'apply view-last-applied configmap/a' },
  { run: 'apply --server-side -f -', stdin: configMap('a', 'a: "3"') },
  { run: 'apply --server-side --field-manager=other -f -', stdin: configMap('a', 'a: "4"') },
  { run: 'apply --server-side --field-manager=other --force-conflicts -f -', stdin: configMap('a', 'a: "4"') },
  { run: 'diff --server-side -f -', stdin: configMap('a', 'a: "4"') },
  { run: 'get configmap a -o yaml --show-managed-fields' },
  { run: 'apply -f - --validate=strict', stdin: configMap('a', 'a: "4"').replace('data', 'dat') },
  { run: 'create -f -', stdin: configMap('a', 'a: "4"') },
  { run: 'replace -f -', stdin: configMap('a', 'z: "1"') },
  { run: 'replace -f -', stdin: configMap('none', 'z: "1"') },
  { run: 'replace --force -f -', stdin: configMap('a', 'y: "1"') },
  { run: 'edit configmap a', edit: 's/y: "1"/y: "2"/' },
  { run: 'edit configmap a', edit: 's/nothing/more/' },
  { run: 'get configmap a -o jsonpath={.data}' },
  { run: 'create configmap lit --from-literal=a=1 --dry-run=server -o yaml' },
  { run: 'create secret generic s --from-literal=a=1' },
  { run: 'create secret tls t --cert=/nonexistent --key=/nonexistent' },
  { run: 'create quota q --hard=configmaps=50,pods=20' },
  { run: 'create role r --verb=get --resource=pods' },
  { run: 'create rolebinding rb --role=r --user=bob' },
  { run: 'create service clusterip svc --tcp=80:8080' },
  { run: 'create ingress ing --rule=a.test/x=svc:80' },
  { run: 'create poddisruptionbudget pdb --selector=app=web --min-available=1' },
  { run: 'create priorityclass p-{ns} --value=5' },
  { run: 'create job j --image=i:1' },
  { run: 'create cronjob cj --image=i:1 --schedule="* * * * *"' },
  { run: 'create cronjob bad --image=i:1 --schedule="x"' },
  { run: 'apply -f -', stdin: webDeployment(2, 'i:1') },
  { run: 'get deployment web -o wide' },
  { run: 'get deployment web -o yaml' },
  { run: 'get deployments -o name' },
  { run: 'get deploy,svc,cm --show-labels --sort-by=.metadata.name' },
  { run: 'get all -l app=web' },
  { run: 'get configmaps,secrets -L app --no-headers' },
  { run: 'get configmaps --chunk-size=1' },
  { run: 'get configmap -o custom-columns=NAME:.metadata.name,DATA:.data' },
  { run: 'get configmap a -o go-template={{.metadata.name}}' },
  { run: 'get configmaps --watch --request-timeout=1s' },
  { run: 'get configmap a --watch --output-watch-events --request-timeout=1s' },
  { run: 'get configmap none --ignore-not-found' },
  { run: 'get configmap a -o wide --show-kind' },
  { run: 'get configmaps --field-selector=metadata.name=a' },
  { run: 'get configmaps --field-selector=bogus=a' },
  { run: 'get configmaps -l "a in (b"' },
  { run: 'get configmap none' },
  { run: 'get bogus' },
  { run: 'get pods' },
  { run: 'get ingress,pdb,quota,role,rolebinding,job,cronjob,secret' },
  { run: 'get deployment web -o jsonpath-as-json={.spec.strategy}' },
  { run: 'get --raw /readyz' },
  { run: 'get --raw /api/v1/namespaces/{ns}/configmaps/none' },
  { run: 'describe configmap a' },
  { run: 'describe deployment web' },
  { run: 'describe service svc' },
  { run: 'describe quota q' },
  { run: 'describe role r' },
  { run: 'describe ingress ing' },
  { run: 'label deployment web tier=front' },
  { run: 'label deployment web tier=back' },
  { run: 'label deployment web tier=back --overwrite' },
  { run: 'label deployment web "bad key=x"' },
  { run: 'label deployment web tier-' },
  { run: 'annotate deployment web note=yes' },
  { run: `patch deployment web --type=strategic -p {"spec":{"template":{"spec":{"containers":[{"name":"web","image":"i:2"}]}}}}` },
  { run: `patch deployment web --type=merge -p {"spec":{"paused":true}}` },
  { run: `patch deployment web --type=json -p [{"op":"replace","path":"/spec/paused","value":false}]` },
  { run: `patch deployment web --type=json -p [{"op":"test","path":"/spec/replicas","value":99}]` },
  { run: `patch deployment web --subresource=status --type=merge -p {"status":{"replicas":1}}` },
  { run: `patch deployment web --subresource=scale --type=merge -p {"spec":{"replicas":3}}` },
  { run: `patch deployment web -p {"spec":{"replicas":"x"}}` },
  { run: 'get deployment web --subresource=scale' },
  { run: 'set image deployment/web web=i:3' },
  { run: 'set env deployment/web A=1' },
  { run: 'set resources deployment web --limits=cpu=1' },
  { run: 'set serviceaccount deployment web default' },
  { run: 'scale deployment/web --replicas=4' },
  { run: 'scale deployment/web --current-replicas=9 --replicas=5' },
  { run: 'autoscale deployment web --min=1 --max=3' },
  { run: 'expose deployment web --port=80 --name=exposed' },
  { run: 'rollout history deployment/web' },
  { run: 'rollout status deployment/web --watch=false' },
  { run: 'rollout undo deployment/web' },
  { run: 'rollout restart deployment/web' },
  { run: 'certificate approve none' },
  { run: 'label deployment web --list' },
  { run: 'patch deployment web --type=merge --dry-run=server -p {"spec":{"replicas":9}} -o jsonpath={.spec.replicas}' },
  { run: 'rollout pause deployment/web' },
  { run: 'rollout pause deployment/web' },
  { run: 'rollout resume deployment/web' },
  { run: 'wait deployment/web --for=jsonpath={.spec.replicas}=4 --timeout=5s' },
  { run: 'wait deployment/web --for=condition=Available --timeout=1s' },
  { run: 'wait configmap/none --for=delete --timeout=5s' },
  { run: 'wait configmap/none --for=create --timeout=1s' },
  { run: 'run once --image=i:1 --restart=Never' },
  { run: 'get pod once -o jsonpath={.status.phase},{.status.qosClass}' },
  { run: 'logs once' },
  { run: 'debug once --image=i:1 --container=dbg --attach=false' },
  { run: 'get pod once -o jsonpath={.spec.ephemeralContainers[*].name}' },
  { run: 'delete pod once --wait=false' },
  { run: 'auth can-i create pods' },
  { run: 'auth can-i create pods --as=bob' },
  { run: 'auth can-i get pods --as=bob' },
  { run: 'auth can-i --list --as=bob' },
  { run: 'auth whoami' },
  {
    run: 'auth reconcile -f -',
    stdin:
      'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: rec}\nrules: [{apiGroups: [""], resources: [pods], verbs: [get]}]\n',
  },
  { run: 'get configmaps --as=bob' },
  { run: 'create token none' },
  { run: 'create token default --duration=1h' },
  { run: 'create token default --duration=1s' },
  { run: 'events' },
  { run: 'events --types=Warning' },
  { run: 'api-resources --api-group=apps' },
  { run: 'api-resources --api-group= --namespaced=false -o wide' },
  { run: 'api-resources --api-group=batch -o name --verbs=list' },
  { run: 'explain deployment.spec.replicas' },
  { run: 'explain pod.spec.bogus' },
  { run: 'explain bogus' },
  { run: 'explain deployment --recursive' },
  { run: 'explain horizontalpodautoscaler --recursive --api-version=autoscaling/v2' },
  { run: 'create -f -', stdin: 'apiVersion: v1\nkind: Node\nmetadata: {name: node-x}\n' },
  { run: 'taint node node-x a=b:NoSchedule' },
  { run: 'cordon node-x' },
  { run: 'drain node-x' },
  { run: 'uncordon node-x' },
  { run: 'get node node-x -o jsonpath={.spec}' },
  { run: 'delete node node-x' },
  { run: 'delete configmap a --dry-run=server' },
  { run: 'delete configmap a none' },
  { run: 'delete configmap a --ignore-not-found' },
  { run: 'delete deployment web --cascade=orphan' },
  { run: 'delete secrets --all' },
  { run: 'delete role,rolebinding --all' },
  { run: 'delete priorityclass p-{ns}' },
]

/** Parts at spaces, but not within double quotes that begin a word. */
const wordsOf = (text: string): string[] =>
  Array.from(text.matchAll(/(?:[^\s"]*?=)?"[^"]*"(?=\s|$)|\S+/g), ([word]) => word.replace(/^([^\s"=]*=)?"(.*)"$/, '$1$2'))

const CHANCE: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/g, '<uid>'],
  [/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '<time>'],
  [/[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]+ [+-]\d{4}/g, '<time>'],
  [/\b\d+m?s\b/g, '<age>'],
  [/resourceVersion: "\d+"/g, 'resourceVersion: <revision>'],
  [/\b10\.96\.\d+\.\d+/g, '<cluster ip>'],
  [/\beyJ[\w.-]+/g, '<token>'],
  [/X509SHA256=[0-9a-f]+/g, '<certificate>'],
  [/https:\/\/127\.0\.0\.1:\d+/g, '<server>'],
  [/\/tmp\/\S+/g, '<file>'],
  [/ +/g, ' '],
  [/[-+@]{2,}.*/g, ''],
]

const normal = ({ code, stdout, stderr }: CommandResult) => {
  const shown = (text: string) => CHANCE.reduce((made, [pattern, name]) => made.replaceAll(pattern, name), text)
  return { code, stdout: shown(stdout), stderr: shown(stderr) }
}

async function play(server: Server, kubectl: string, namespace: string): Promise<readonly CommandResult[]> {
  const home = mkdtempSync(join(tmpdir(), `proa-kubectl-${server.name}-`))
  const kubeconfig = join(home, 'config')
  writeFileSync(kubeconfig, server.kubeconfig, { mode: 0o600 })
  const editor = join(home, 'editor.sh')
  const results: CommandResult[] = []
  try {
    for (const { run, stdin, edit } of steps) {
      if (edit !== undefined) writeFileSync(editor, `#!/bin/sh\nsed -i '${edit}' "$1"\n`, { mode: 0o755 })
      const args = ['--namespace', namespace, ...wordsOf(run.replaceAll('{ns}', namespace))]
      const env = { KUBECONFIG: kubeconfig, HOME: home, KUBE_EDITOR: editor }
      results.push(await command(kubectl, args, { env, ...(stdin === undefined ? {} : { input: stdin }) }))
    }
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
  return results
}

const built = builtPrograms(['kubectl'])

test(
  'every verb of kubectl',
  { skip: noUpstream() || ('missing' in built && "upstream's kubectl is not built (npm run conformance builds it)") },
  async (t) => {
    if ('missing' in built) return
    const { upstream, proa } = await startServers()
    const namespace = `k${process.pid}`
    const [expected, got] = await Promise.all([play(upstream, built.kubectl, namespace), play(proa, built.kubectl, namespace)])
    for (const [index, { run }] of steps.entries()) {
      await t.test(`kubectl ${run}`, () => assert.deepEqual(normal(got[index]!), normal(expected[index]!)))
    }
  },
)
