/**
 * What each layer of the suite's images holds. Debian's static busybox gives the small programs, but sh is bash in the images that
 * stand for Alpine with more tools: busybox's own would prefer its applets to the programs in PATH (its nc and ip lack what tests
 * use). In the busybox image sh is busybox's, whose error texts tests compare, with bash for what Debian's build of it cannot.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../src/cluster/user-error.ts'
import type { ImageFile } from '../src/node/cri/oci-image.ts'
import { pauseProgram, type PauseArchitecture } from '../src/node/cri/pause-program.ts'
import type { ProgramName } from '../upstream/programs.ts'
import { commandNames, file, filesBelow, folder, link } from './image-files.ts'
import type { LayerName } from './image-table.ts'

/** The sets of Debian packages that layers are made of. Each is unpacked, with all that it needs, into a directory of its own. */
export const packageSets = {
  // libc-bin has getent, by which tests look into /etc/hosts.
  base: ['bash', 'curl', 'bind9-dnsutils', 'iperf', 'libc-bin', 'netcat-openbsd', 'iproute2'],
  bash: ['bash'],
  busybox: ['busybox-static'],
  nginx: ['nginx'],
} as const
export type PackageSet = keyof typeof packageSets

export const imagePrograms = [
  'agnhost',
  'nnp',
  'consumer',
  'consume-cpu',
  'sample-apiserver',
  'etcd',
  'etcdctl',
] as const satisfies readonly ProgramName[]

export interface LayerSources {
  readonly architecture: PauseArchitecture
  /** Where each set was unpacked. */
  readonly packages: Readonly<Record<PackageSet, string>>
  readonly programs: Readonly<Record<(typeof imagePrograms)[number], string>>
  /** Of upstream's Kubernetes. */
  readonly kubernetes: string
}

/** Tests run as these: an account that the image defines, with a group beyond its own, is one of them. */
const IMAGE_USER = 1000
const PASSWD = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
nginx:x:101:101:nginx:/nonexistent:/bin/false
user-defined-in-image:x:${IMAGE_USER}:${IMAGE_USER}:Linux User,,,:/home/user-defined-in-image:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/false
`
const GROUP = `root:x:0:
daemon:x:1:
bin:x:2:
nginx:x:101:
user-defined-in-image:x:${IMAGE_USER}:
group-defined-in-image:x:50000:user-defined-in-image
nogroup:x:65534:
`
const NGINX_CONFIGURATION = `user nginx;
worker_processes 1;
pid /var/run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  access_log /dev/stdout;
  sendfile on;
  client_body_temp_path /var/cache/nginx/client_temp;
  proxy_temp_path /var/cache/nginx/proxy_temp;
  fastcgi_temp_path /var/cache/nginx/fastcgi_temp;
  uwsgi_temp_path /var/cache/nginx/uwsgi_temp;
  scgi_temp_path /var/cache/nginx/scgi_temp;
  server { listen 80; server_name localhost; location / { root /usr/share/nginx/html; index index.html; } }
}
`
const WELCOME = '<!DOCTYPE html><html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n'

/**
 * Busybox's shell under the name that it was called by. Debian's build of it, unlike upstream's, hands on no variable whose name is
 * not a shell's ("data-1"); bash stands in where there is one.
 */
const BUSYBOX_SHELL = `#!/bin/bash
while IFS= read -r -d '' variable; do
  [[ $variable =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || exec -a "$0" /bin/bash "$@"
done </proc/self/environ
exec -a "$0" /bin/busybox "$@"
`

/** Of packages: documentation, translations, what starts services, and character sets that no test converts. */
const NEEDLESS =
  /^(usr\/share\/(doc|man|info|locale|lintian|bash-completion|menu|i18n|bug|zoneinfo|perl5?)|var\/(cache|lib)|usr\/lib\/[^/]+\/(gconv|perl[^/]*)|usr\/lib\/locale|lib\/systemd|etc\/(init\.d|default|logrotate\.d|ufw|nginx\/(nginx\.conf|sites-[^/]+|modules-[^/]+|conf\.d|snippets)))$/

const skeleton = (): ImageFile[] => [
  ...['bin', 'sbin', 'dev', 'etc', 'home', 'proc', 'sys', 'usr/bin', 'usr/sbin', 'usr/local/bin', 'var/run', 'var/log', 'var/spool'].map(
    (path) => folder(path),
  ),
  folder('tmp', 0o1777),
  folder('root', 0o700),
  folder('home/user-defined-in-image', 0o755, IMAGE_USER),
  file('etc/passwd', PASSWD),
  file('etc/group', GROUP),
  file('etc/shadow', 'root:*:::::::\n', 0o640),
  file('etc/nsswitch.conf', 'hosts: files dns\n'),
  file('etc/os-release', 'NAME="Debian packages laid out for the conformance suite"\nID=proa-conformance\n'),
]

/** A test knows the image that it mounted by these words. */
const ALPINE = file('etc/os-release', 'NAME="Debian packages that stand for Alpine Linux"\nID=proa-conformance\n')

/** Busybox with a link for each applet that no real program of the layer stands for. */
function busyboxFiles(unpacked: string, others: readonly ImageFile[]): ImageFile[] {
  const program = join(unpacked, 'bin/busybox')
  const listed = spawnSync(program, ['--list'], { encoding: 'utf8' })
  if (listed.status !== 0) throw new UserError(`${program} --list did not run: ${listed.stderr || listed.error?.message}`)
  const taken = commandNames(others)
  const applets = listed.stdout.split('\n').filter((name) => name && name !== 'busybox' && !taken.has(name))
  return [
    file('bin/busybox', readFileSync(program), 0o755),
    ...applets.map((name) => link(`bin/${name}`, 'busybox')),
    // Scripts begin with its full name.
    ...(taken.has('env') ? [] : [link('usr/bin/env', '../../bin/busybox')]),
  ]
}

const withBusybox = (unpacked: string, files: readonly ImageFile[]): ImageFile[] => [...busyboxFiles(unpacked, files), ...files]

export function createLayers(sources: LayerSources): Record<LayerName, ImageFile[]> {
  const { packages, programs, kubernetes } = sources
  const fromPackages = (set: PackageSet) => filesBelow(packages[set], (path) => NEEDLESS.test(path))
  const program = (path: string, name: keyof typeof programs, mode = 0o755) => file(path, readFileSync(programs[name]), mode)
  const upstreamFile = (path: string, from: string) => file(path, readFileSync(join(kubernetes, 'test/images', from)))
  const pet = (name: string) => ['data.json', `${name}.jpg`].map((one) => upstreamFile(one, `${name}/html/${one}`))
  const base = [
    ...fromPackages('base'),
    ...skeleton(),
    link('bin/sh', 'bash'),
    // The alternatives' link, which Debian's scripts would make.
    link('bin/nc', 'nc.openbsd'),
  ]
  const nginx = [
    ...fromPackages('nginx'),
    ...skeleton(),
    ...['var/cache/nginx', 'var/log/nginx', 'var/lib/nginx'].map((path) => folder(path)),
    file('etc/nginx/nginx.conf', NGINX_CONFIGURATION),
    file('usr/share/nginx/html/index.html', WELCOME),
  ]
  return {
    base: withBusybox(packages.busybox, base),
    busybox: withBusybox(packages.busybox, [...fromPackages('bash'), ...skeleton(), file('bin/sh', BUSYBOX_SHELL, 0o755)]),
    nginx: withBusybox(packages.busybox, nginx),
    agnhost: [
      program('agnhost', 'agnhost'),
      link('agnhost-2', 'agnhost'),
      upstreamFile('localhost.crt', 'agnhost/porter/localhost.crt'),
      upstreamFile('localhost.key', 'agnhost/porter/localhost.key'),
      folder('uploads'),
      folder('var/registry'),
      link('usr/local/bin/iperf', '/usr/bin/iperf'),
    ],
    kitten: [...pet('kitten'), ALPINE],
    nautilus: [...pet('nautilus'), ALPINE],
    nonewprivs: [program('usr/local/bin/nnp', 'nnp', 0o6755)],
    etcd: [program('usr/local/bin/etcd', 'etcd'), program('usr/local/bin/etcdctl', 'etcdctl'), folder('tmp', 0o1777)],
    'sample-apiserver': [program('sample-apiserver', 'sample-apiserver'), folder('tmp', 0o1777)],
    'resource-consumer': [program('consumer', 'consumer'), program('consume-cpu', 'consume-cpu')],
    pause: [file('pause', pauseProgram(sources.architecture), 0o755)],
  }
}
