/**
 * The proa command. Each command is a file that is loaded when it is called, so that none pays for another's libraries.
 * Exit codes: 0 done, 1 failed, 2 wrong usage.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { apiServerFlags } from '../cluster/api-server-flags.ts'
import { PROA_VERSION } from '../cluster/defaults.ts'
import { isUserError } from '../cluster/user-error.ts'
import './own-modules.ts'

/** Cluster names become parts of paths: the rule of DNS labels. */
function clusterName(text: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/.test(text)) {
    throw new InvalidArgumentError('A name has at most 40 lower case letters, digits and dashes.')
  }
  return text
}

function integer(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < minimum || value > maximum)
      throw new InvalidArgumentError(`It must be a number from ${minimum} to ${maximum}.`)
    return value
  }
}

const program = new Command('proa')
  .description('A Kubernetes cluster in one process.')
  .version(`proa ${PROA_VERSION} (Kubernetes v1.36.3)`, '-V, --version')
  .showHelpAfterError('(proa --help, or proa COMMAND --help, tells more)')
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })

const nameOption = () => new Option('--name <name>', 'which cluster').default('default').argParser(clusterName)
const dataOption = () =>
  new Option('--data-dir <path>', 'where the cluster lives (default: /var/lib/proa/NAME for root, else under ~/.local/share/proa)')

const logLevelOption = () =>
  new Option('--log-level <level>', 'how much is written to the log').choices(['debug', 'info', 'warn', 'error']).default('info')

const command = (name: string, description: string): Command =>
  program.command(name).description(description).addOption(nameOption()).addOption(dataOption()).copyInheritedSettings(program)

/** Under upstream's names; `proa up --help` tells of them. */
const withApiServerFlags = (target: Command): Command => {
  for (const { name, kind, help } of apiServerFlags) {
    const option = new Option(kind === 'switch' ? `--${name}` : `--${name} <${kind}>`, help)
    target.addOption(
      kind === 'pairs' ? option.argParser((value, before: readonly string[] | undefined) => [...(before ?? []), value]) : option,
    )
  }
  return target
}

const withUpOptions = (target: Command): Command =>
  withApiServerFlags(target)
    .option('--port <port>', 'the API server listens here (default: 6443, or the next free one)', integer(1, 65535))
    .option(
      '--nodes <count>',
      'how many nodes (with containerd: this machine, and network namespaces of it; simulated: 0 for none)',
      integer(0, 5000),
    )
    .addOption(
      new Option('--runtime <kind>', 'what runs the pods (default: containerd for root, else simulated)').choices([
        'containerd',
        'simulated',
      ]),
    )
    .addOption(new Option('--store <kind>', 'where the state is kept').choices(['sqlite', 'memory']))
    .option('--scheduler-config <file>', 'a KubeSchedulerConfiguration for the scheduler (YAML), remembered; empty for none')

withUpOptions(command('up', 'start a cluster, or continue one that was stopped'))
  .option('--wait', 'return when all nodes are Ready, not when the API answers')
  .option('--foreground', 'stay; Ctrl-C takes the cluster down')
  .addOption(logLevelOption())
  .action(async (options) => (await import('./up.ts')).up(options))

command('down', 'take a cluster down: its server, containers, mounts, links and rules; its state stays')
  .option('--delete', 'remove the state too')
  .action(async (options) => (await import('./down.ts')).down(options))

command('status', 'how a cluster is')
  .option('--json', 'for programs')
  .action(async (options) => (await import('./status.ts')).status(options))

command('kubeconfig', 'print the administrator’s kubeconfig').action(async (options) =>
  (await import('./kubeconfig.ts')).kubeconfig(options),
)

/** "90s", "24h", "0": milliseconds. */
function duration(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(s|m|h|d)$/.exec(text) ?? (text === '0' ? ['', '0', 's'] : [])
  if (number === undefined) throw new InvalidArgumentError('It must be like 90s, 15m, 24h or 7d.')
  return Number(number) * { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit]!
}

const commas = (text: string): readonly string[] => text.split(',').filter(Boolean)

withApiServerFlags(command('server', 'run the control plane of a cluster that other machines join; stays until it is ended'))
  .option('--port <port>', 'the API server listens here (default: 6443, or the next free one)', integer(1, 65535))
  .option('--advertise-address <address>', 'by which other machines reach this one (default: its first)')
  .option('--tls-san <name...>', 'further names and addresses of the server, for its certificate')
  .option('--cluster-cidr <range>', 'of all pods (default: 10.244.0.0/16)')
  .option('--service-cidr <range>', 'of all services (default: 10.96.0.0/16)')
  .option('--no-node', 'this machine runs no pods itself')
  .addOption(
    new Option('--egress <way>', 'how nodes and pods are reached: through the tunnels of agents, directly, or what works')
      .choices(['auto', 'direct', 'tunnel'])
      .default('auto'),
  )
  .option('--token-file <file>', 'a bootstrap token that counts for good; proa token create makes others')
  .addOption(new Option('--store <kind>', 'where the state is kept').choices(['sqlite', 'memory']))
  .option('--scheduler-config <file>', 'a KubeSchedulerConfiguration for the scheduler (YAML)')
  .addOption(logLevelOption())
  .action(async (options) => (await import('./server.ts')).server(options))

const agentDataOption = () => new Option('--data-dir <path>', 'where the node lives').default('/var/lib/proa/agent')

program
  .command('agent')
  .description('make this machine a node of a cluster, or go on as one; stays until it is ended')
  .option('--server <url>', 'of the cluster, such as https://10.0.0.1:6443')
  .option('--token <token>', 'a bootstrap token, needed once (better: --token-file, or PROA_TOKEN in the environment)')
  .option('--token-file <file>', 'a file with it')
  .option('--ca-hash <hash>', 'sha256:... of the key of the cluster’s authority, as proa token create prints it')
  .option('--node-name <name>', 'default: the name of the machine')
  .option('--node-ip <address>', 'by which other nodes reach this one (default: the one that leads to the server)')
  .addOption(agentDataOption())
  .addOption(logLevelOption())
  .addOption(new Option('--config <path>', 'what a server of this machine wrote for it').hideHelp())
  .copyInheritedSettings(program)
  .action(async (options) => (await import('./agent.ts')).agent(options))

program
  .command('leave')
  .description('take this machine out of the cluster that it joined: evict its pods, delete its node, remove all that is here')
  .addOption(new Option('--timeout <time>', 'how long its pods are waited for').argParser(duration).default(300_000, '5m'))
  .option('--force', 'leave although pods are left or the server is not reached')
  .addOption(agentDataOption())
  .copyInheritedSettings(program)
  .action(async (options) => (await import('./agent.ts')).leave(options))

const snapshot = program.command('snapshot').description('a whole cluster as one file').copyInheritedSettings(program)
const snapshotCommand = (usage: string, description: string): Command =>
  snapshot.command(usage).description(description).addOption(nameOption()).addOption(dataOption()).copyInheritedSettings(program)
snapshotCommand('save <file>', 'save a cluster, running or not: its state and its keys').action(async (file: string, options) =>
  (await import('./snapshot.ts')).save(file, options),
)
snapshotCommand('restore <file>', 'make the cluster again, under this name').action(async (file: string, options) =>
  (await import('./snapshot.ts')).restore(file, options),
)

const store = program.command('store').description('where a cluster keeps its state').copyInheritedSettings(program)
const migrateCommand = store
  .command('migrate')
  .description('move the state of a cluster that is down to another store')
  .addOption(nameOption())
  .addOption(dataOption())
  .addOption(new Option('--to <kind>', 'the other store').choices(['etcd', 'sqlite']).makeOptionMandatory())
  .copyInheritedSettings(program)
for (const { name, kind, help } of apiServerFlags) if (name.startsWith('etcd-')) migrateCommand.option(`--${name} <${kind}>`, help)
migrateCommand.action(async (options) => (await import('./snapshot.ts')).migrate(options))

const token = program.command('token').description('bootstrap tokens, by which machines join').copyInheritedSettings(program)
const tokenCommand = (name: string, description: string): Command =>
  token.command(name).description(description).addOption(nameOption()).addOption(dataOption()).copyInheritedSettings(program)
tokenCommand('create', 'make a token, and print how a machine joins with it')
  .addOption(new Option('--ttl <time>', 'how long it counts; 0: for good').argParser(duration).default(86_400_000, '24h'))
  .option('--description <text>', 'what it is for')
  .option('--usages <list>', 'signing, authentication', commas, ['signing', 'authentication'])
  .option('--groups <list>', 'whose rights it has', commas, ['system:bootstrappers:kubeadm:default-node-token'])
  .option('--token-file <file>', 'the token itself, rather than one of chance')
  .option('--quiet', 'print the token alone')
  .action(async (options) => (await import('./token.ts')).create(options))
tokenCommand('list', 'tokens, without their secrets').action(async (options) => (await import('./token.ts')).list(options))
tokenCommand('delete <token>', 'a token counts no longer, by its id or as a whole').action(async (text: string, options) =>
  (await import('./token.ts')).remove(text, options),
)

const image = program.command('image').description('container images of the cluster’s nodes').copyInheritedSettings(program)
image
  .command('load <archive>')
  .description('load an OCI or Docker image archive into the nodes')
  .addOption(nameOption())
  .addOption(dataOption())
  .copyInheritedSettings(program)
  .action(async (archive: string, options) => (await import('./image.ts')).loadImage(archive, options))

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else if (isUserError(error)) {
    process.stderr.write(`proa: ${error.message}\n`)
    process.exitCode = 1
  } else {
    process.stderr.write(`proa: ${error instanceof Error ? error.stack : String(error)}\nThis is a bug in proa.\n`)
    process.exitCode = 1
  }
}
