/**
 * The images that the suite asks for, by the names and tags of upstream's test/utils/image/manifest.go, and what stands for each
 * here. The table in docs/conformance.md is made from this data; a test holds the two together.
 */
import type { ImageConfig } from '../src/node/cri/oci-image.ts'

export const layerNames = [
  'base',
  'busybox',
  'nginx',
  'agnhost',
  'kitten',
  'nautilus',
  'nonewprivs',
  'etcd',
  'sample-apiserver',
  'resource-consumer',
  'pause',
] as const
export type LayerName = (typeof layerNames)[number]

export interface SuiteImage {
  readonly name: string
  /** The lowest first. */
  readonly layers: readonly LayerName[]
  readonly config: ImageConfig
  readonly standsFor: string
  readonly differs: string
}

const E2E = 'registry.k8s.io/e2e-test-images'
const ports = (...numbers: readonly number[]) => Object.fromEntries(numbers.map((number) => [`${number}/tcp`, {}]))

const AGNHOST_TAGS = ['2.63.0', '2.55'] as const
const NGINX_TAGS = ['1.15-4', '1.27-0'] as const

export const suiteImages: readonly SuiteImage[] = [
  {
    name: 'registry.k8s.io/pause:3.10.2',
    layers: ['pause'],
    config: { Entrypoint: ['/pause'], User: '65535:65535', WorkingDir: '/' },
    standsFor: 'a program that waits for a signal and reaps children',
    differs: "proa's own program of a few hundred bytes; no `-v`",
  },
  {
    name: `${E2E}/busybox:1.37.0-1`,
    layers: ['busybox'],
    config: { Cmd: ['sh'] },
    standsFor: 'busybox 1.37',
    differs: "Debian's static busybox 1.35; `sh` is bash while there are variables that Debian's build drops, such as `data-1`",
  },
  ...AGNHOST_TAGS.map((tag) => ({
    name: `${E2E}/agnhost:${tag}`,
    layers: ['base', 'agnhost'] as const,
    // The label tells the tags' contents apart: tests look at image IDs.
    config: { Entrypoint: ['/agnhost'], Cmd: ['pause'], Labels: { version: tag }, ExposedPorts: ports(80, 8080, 8081, 9376, 5000) },
    standsFor: `agnhost ${tag} on Alpine with bash, curl, dig, iperf, ss and nc`,
    differs:
      (tag === '2.63.0' ? "upstream's program on Debian packages" : 'the program of 2.63.0 under the older tag') +
      '; without coredns (no conformance test starts it) and without the images of its fake registry',
  })),
  ...(['kitten', 'nautilus'] as const).map((pet) => ({
    name: `${E2E}/${pet}:1.8`,
    layers: ['base', 'agnhost', pet] as const,
    config: { Entrypoint: ['/agnhost'], Cmd: ['test-webserver'] },
    standsFor: `agnhost with a picture and a line of JSON of a ${pet}`,
    differs: 'as agnhost; os-release says that it stands for Alpine Linux, which the test of image volumes looks for',
  })),
  {
    name: `${E2E}/glibc-dns-testing:2.0.0`,
    layers: ['base'],
    config: { Cmd: ['bash'] },
    standsFor: 'Debian 12 with dig, host and nslookup',
    differs: 'the packages of this machine’s Debian or Ubuntu, laid out without their scripts; without coredns',
  },
  {
    name: `${E2E}/nonroot:1.5`,
    layers: ['base'],
    config: { Cmd: ['bash'], User: '1234' },
    standsFor: 'Debian 12, run as user 1234',
    differs: 'as glibc-dns-testing',
  },
  ...NGINX_TAGS.map((tag) => ({
    name: `${E2E}/nginx:${tag}`,
    layers: ['nginx'] as const,
    config: {
      Cmd: ['nginx', '-g', 'daemon off;'],
      ExposedPorts: ports(80),
      StopSignal: 'SIGQUIT',
      Labels: { version: tag },
    },
    standsFor: 'nginx on Alpine',
    differs: "Debian's nginx with a configuration of our own (port 80, logs to the container's output)",
  })),
  {
    name: `${E2E}/nonewprivs:1.4`,
    layers: ['busybox', 'nonewprivs'],
    config: { Cmd: ['nnp'] },
    standsFor: 'a set-user-ID program that prints its effective user',
    differs: "upstream's program on busybox in place of Alpine",
  },
  {
    name: 'registry.k8s.io/etcd:3.6.8-0',
    layers: ['etcd'],
    config: {},
    standsFor: 'etcd 3.6.8',
    differs: 'the release that upstream/etcd pins, without the migration scripts',
  },
  {
    name: `${E2E}/sample-apiserver:1.29.2`,
    layers: ['sample-apiserver'],
    config: { Entrypoint: ['/sample-apiserver'] },
    standsFor: 'the sample API server of 1.29 on Alpine',
    differs: 'the sample API server of the release that upstream/kubernetes pins, alone in its image',
  },
  {
    name: `${E2E}/resource-consumer:1.14`,
    layers: ['base', 'resource-consumer'],
    config: { Entrypoint: ['/consumer'], ExposedPorts: ports(8080) },
    standsFor: 'the resource consumer on Debian 12 with stress',
    differs: 'without stress (memory is not consumed); no conformance test uses it',
  },
]

const shortName = (name: string): string => name.replace(`${E2E}/`, '')

export function renderImageTable(): string {
  const rows = suiteImages.map(
    ({ name, layers, standsFor, differs }) => `| ${shortName(name)} | ${layers.join(', ')} | ${standsFor} | ${differs} |`,
  )
  return ['| image | layers | stands for | differs |', '|---|---|---|---|', ...rows].join('\n')
}
