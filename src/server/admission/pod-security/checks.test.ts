import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PodSpec } from '../../../api/generated/core/v1.ts'
import { checks } from './checks.ts'
import { detailsText, evaluate } from './policy.ts'

type Spec = Omit<Partial<PodSpec>, 'containers'> & { readonly containers?: readonly unknown[] }

/** Upstream's published cases (k8s.io/pod-security-admission/policy): check, version, pod, what is told; undefined: it may run. */
const apparmor = 'container.apparmor.security.beta.kubernetes.io/'
const context = (name: string, securityContext?: object) => ({ name, ...(securityContext ? { securityContext } : {}) })
const capabilities = (name: string, add: readonly string[], drop?: readonly string[]) =>
  context(name, { capabilities: { add, ...(drop ? { drop } : {}) } })
const mounts = [
  context('a'),
  context('b', {}),
  context('c', { procMount: 'Default' }),
  context('d', { procMount: 'Unmasked' }),
  context('e', { procMount: 'other' }),
]
const volumeTypes = [
  'awsElasticBlockStore azureDisk azureFile cephfs cinder fc flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath iscsi nfs',
  'photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos unknown vsphereVolume',
].flatMap((line) => line.split(' '))
const fine = 'emptyDir secret persistentVolumeClaim downwardAPI configMap projected csi ephemeral image'.split(' ')

const cases: readonly (readonly [id: string, minor: number, spec: Spec, told: string | undefined, annotations?: Record<string, string>])[] =
  [
    [
      'allowPrivilegeEscalation',
      25,
      {
        containers: [
          context('a'),
          context('b', {}),
          context('c', { allowPrivilegeEscalation: true }),
          context('d', { allowPrivilegeEscalation: false }),
        ],
      },
      'allowPrivilegeEscalation != false (containers "a", "b", "c" must set securityContext.allowPrivilegeEscalation=false)',
    ],
    ['allowPrivilegeEscalation', 25, { os: { name: 'windows' }, containers: [context('a')] }, undefined],
    [
      'allowPrivilegeEscalation',
      8,
      { os: { name: 'windows' }, containers: [context('a')] },
      'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)',
    ],
    ['appArmorProfile', 0, {}, undefined, { [`${apparmor}a`]: 'runtime/default', [`${apparmor}b`]: 'localhost/x', env: 'prod' }],
    [
      'appArmorProfile',
      0,
      { securityContext: { appArmorProfile: { type: 'Unconfined' } } },
      'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")',
    ],
    [
      'appArmorProfile',
      0,
      { initContainers: [context('bar', { appArmorProfile: { type: 'Unconfined' } })], containers: [context('foo')] },
      'forbidden AppArmor profile (container "bar" must not set AppArmor profile type to "Unconfined")',
    ],
    [
      'appArmorProfile',
      0,
      {},
      `forbidden AppArmor profiles (annotations must not set AppArmor profile type to "${apparmor}="bogus"", "${apparmor}e="unconfined"")`,
      { [apparmor]: 'bogus', [`${apparmor}a`]: '', [`${apparmor}c`]: 'localhost/', [`${apparmor}e`]: 'unconfined' },
    ],
    [
      'capabilities_baseline',
      0,
      {
        containers: [
          capabilities('a', ['FOO', 'BAR']),
          capabilities('b', ['BAR', 'BAZ']),
          capabilities('c', ['NET_BIND_SERVICE', 'CHOWN']),
        ],
      },
      'non-default capabilities (containers "a", "b" must not include "BAR", "BAZ", "FOO" in securityContext.capabilities.add)',
    ],
    [
      'capabilities_restricted',
      25,
      {
        containers: [
          capabilities('a', ['FOO', 'BAR']),
          capabilities('b', ['BAR', 'BAZ']),
          capabilities('c', ['NET_BIND_SERVICE', 'CHOWN'], ['ALL', 'FOO']),
        ],
      },
      'unrestricted capabilities (containers "a", "b" must set securityContext.capabilities.drop=["ALL"]; containers "a", "b", "c" must not include "BAR", "BAZ", "CHOWN", "FOO" in securityContext.capabilities.add)',
    ],
    ['capabilities_restricted', 25, { os: { name: 'windows' }, containers: [context('a')] }, undefined],
    [
      'hostNamespaces',
      0,
      { hostNetwork: true, hostIPC: true, hostPID: true },
      'host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)',
    ],
    [
      'hostPathVolumes',
      0,
      {
        volumes: [
          { name: 'a', hostPath: { path: '' } },
          { name: 'b', hostPath: { path: '' } },
          { name: 'c', emptyDir: {} },
        ],
      },
      'hostPath volumes (volumes "a", "b")',
    ],
    [
      'hostPorts',
      0,
      {
        containers: [
          { name: 'a', ports: [{ hostPort: 0 }] },
          { name: 'b', ports: [{ hostPort: 10 }, { hostPort: 20 }] },
          { name: 'c', ports: [{ hostPort: 30 }] },
        ],
      },
      'hostPort (containers "b", "c" use hostPorts 10, 20, 30)',
    ],
    ['hostPorts', 0, { containers: [{ name: 'b', ports: [{ hostPort: 20 }] }] }, 'hostPort (container "b" uses hostPort 20)'],
    [
      'hostProbesAndHostLifecycle',
      34,
      {
        containers: [
          { name: 'valid', livenessProbe: { httpGet: {} } },
          { name: 'invalid1', livenessProbe: { httpGet: { host: 'a.com' } } },
          { name: 'invalid2', lifecycle: { preStop: { tcpSocket: { host: 'b.com' } } }, startupProbe: { httpGet: { host: 'a.com' } } },
        ],
      },
      'probe or lifecycle host (containers "invalid1", "invalid2" use probe or lifecycle hosts "a.com", "b.com")',
    ],
    [
      'privileged',
      0,
      { containers: [context('a'), context('c', { privileged: false }), context('d', { privileged: true })] },
      'privileged (container "d" must not set securityContext.privileged=true)',
    ],
    [
      'procMount',
      0,
      { hostUsers: false, containers: mounts },
      'procMount (containers "d", "e" must not set securityContext.procMount to "Unmasked", "other")',
    ],
    ['procMount', 35, { hostUsers: false, containers: mounts }, undefined],
    [
      'procMount_restricted',
      35,
      { hostUsers: false, containers: mounts },
      'procMount (containers "d", "e" must not set securityContext.procMount to "Unmasked", "other")',
    ],
    [
      'restrictedVolumes',
      0,
      {
        volumes: [
          ...fine.map((type) => ({ name: `fine-${type}`, [type]: {} })),
          ...volumeTypes.map((type) => ({ name: type, ...(type === 'unknown' ? {} : { [type]: {} }) })),
        ],
      },
      `restricted volume types (volumes ${volumeTypes.map((type) => `"${type}"`).join(', ')} use restricted volume types ${volumeTypes.map((type) => `"${type}"`).join(', ')})`,
    ],
    [
      'runAsNonRoot',
      0,
      { containers: [context('a')] },
      'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
    ],
    [
      'runAsNonRoot',
      35,
      { securityContext: { runAsNonRoot: false }, containers: [context('a'), context('b', { runAsNonRoot: false })] },
      'runAsNonRoot != true (pod and container "b" must not set securityContext.runAsNonRoot=false)',
    ],
    ['runAsNonRoot', 35, { hostUsers: false, containers: [context('a')] }, undefined],
    [
      'runAsUser',
      23,
      { securityContext: { runAsUser: 0 }, containers: [context('c', { runAsUser: 0 }), context('e', { runAsUser: 1 })] },
      'runAsUser=0 (pod and container "c" must not set runAsUser=0)',
    ],
    ['runAsUser', 35, { hostUsers: false, securityContext: { runAsUser: 0 } }, undefined],
    [
      'seLinuxOptions',
      31,
      {
        securityContext: { seLinuxOptions: { type: 'foo', user: 'bar', role: 'baz' } },
        containers: [
          context('d', { seLinuxOptions: { type: 'container_engine_t' } }),
          context('e', { seLinuxOptions: { type: 'bar' } }),
          context('f', { seLinuxOptions: { user: 'bar' } }),
        ],
      },
      'seLinuxOptions (pod and containers "e", "f" set forbidden securityContext.seLinuxOptions: types "bar", "foo"; user may not be set; role may not be set)',
    ],
    [
      'seLinuxOptions',
      0,
      { containers: [context('d', { seLinuxOptions: { type: 'container_engine_t' } })] },
      'seLinuxOptions (container "d" set forbidden securityContext.seLinuxOptions: type "container_engine_t")',
    ],
    [
      'seccompProfile_baseline',
      0,
      { containers: [context('a'), context('b')] },
      'seccompProfile (forbidden annotations container.seccomp.security.alpha.kubernetes.io/a="unconfined", seccomp.security.alpha.kubernetes.io/pod="unconfined")',
      {
        'seccomp.security.alpha.kubernetes.io/pod': 'unconfined',
        'container.seccomp.security.alpha.kubernetes.io/a': 'unconfined',
        'container.seccomp.security.alpha.kubernetes.io/b': 'localhost/x',
      },
    ],
    [
      'seccompProfile_baseline',
      19,
      { securityContext: { seccompProfile: { type: 'Unconfined' } }, containers: [context('b', { seccompProfile: { type: 'Other' } })] },
      'seccompProfile (pod and container "b" must not set securityContext.seccompProfile.type to "Other", "Unconfined")',
    ],
    [
      'seccompProfile_restricted',
      25,
      { containers: [context('a'), context('b', { seccompProfile: { type: 'Localhost' } })] },
      'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    ],
    [
      'seccompProfile_restricted',
      25,
      { securityContext: { seccompProfile: { type: 'RuntimeDefault' } }, containers: [context('a')] },
      undefined,
    ],
    [
      'sysctls',
      0,
      { securityContext: { sysctls: ['kernel.shm_rmid_forced', 'net.ipv4.tcp_rmem', 'a'].map((name) => ({ name, value: '1' })) } },
      'forbidden sysctls (net.ipv4.tcp_rmem, a)',
    ],
    ['sysctls', 32, { securityContext: { sysctls: [{ name: 'net.ipv4.tcp_rmem', value: '1' }] } }, undefined],
    [
      'windowsHostProcess',
      0,
      {
        securityContext: { windowsOptions: { hostProcess: true } },
        containers: [context('d', { windowsOptions: { hostProcess: false } }), context('e', { windowsOptions: { hostProcess: true } })],
      },
      'hostProcess (pod and container "e" must not set securityContext.windowsOptions.hostProcess=true)',
    ],
  ]

test('each check tells what it forbids in upstream’s words, as of each version', () => {
  for (const [id, minor, spec, told, annotations = {}] of cases) {
    const check = checks.find((one) => one.id === id)!.versions.findLast(([from]) => from <= minor)![1]
    const refusal = check({ metadata: { annotations }, spec: { containers: [], ...spec } as PodSpec })
    assert.equal(refusal && detailsText([refusal]), told, `${id} at 1.${minor}`)
  }
  assert.deepEqual(new Set(cases.map(([id]) => id)), new Set(checks.map(({ id }) => id)), 'every check has a case')
})

test('a restricted check stands in for the baseline one, and a version beyond the newest is the newest', () => {
  const pod = { metadata: {}, spec: { containers: [capabilities('a', ['FOO'])], volumes: [{ name: 'v', hostPath: { path: '/' } }] } }
  const reasons = (level: 'baseline' | 'restricted', version: string) => evaluate({ level, version }, pod).map(({ reason }) => reason)
  assert.deepEqual(reasons('baseline', 'latest'), ['non-default capabilities', 'hostPath volumes'])
  assert.deepEqual(reasons('restricted', 'v1.99'), [
    'allowPrivilegeEscalation != false',
    'unrestricted capabilities',
    'restricted volume types',
    'runAsNonRoot != true',
    'seccompProfile',
  ])
  assert.deepEqual(reasons('restricted', 'v1.0'), ['non-default capabilities', 'restricted volume types', 'runAsNonRoot != true'])
})
