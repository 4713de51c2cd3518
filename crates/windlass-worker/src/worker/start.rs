//! Gets a worker going: its process, its socket, its pipes, and what it is told first.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::ipc::writer::StreamEncoder;
use arrow::record_batch::RecordBatch;
use tokio::time::Instant;

use super::answer::Reader;
use super::watch::{Clock, Limits};
use super::{Launch, Phase, Worker};
use crate::Error;
use crate::channel::Channel;
use crate::init::Init;
use crate::output::{Output, Speaker};
use crate::program::{BatchFormat, Program, Role};
use crate::protocol::{Direction, SpawnOptions, ToWorker};
use crate::shm::Region;
use crate::slots::Slots;
use crate::zygote::{Spawn, THREADS};

/// Starts a worker's process and tells it what to run. It answers when it is ready.
pub(super) async fn start(launch: Launch) -> Result<Worker, Error> {
    let core = Arc::clone(&launch.core);
    let program = &core.program;
    let failed = |operation| {
        let node = program.node.clone();
        move |source| Error::Process { node, operation, source }
    };
    let zygote = core.zygotes.get(&program.environment, &program.node).await?;
    let (channel, control) = Channel::pair().map_err(failed("make a socket"))?;
    let speaker = Speaker { node: program.node.clone(), worker: launch.seat, sink: Arc::clone(&core.sink) };
    let (output, stdout, stderr) = Output::open(speaker).map_err(failed("make a pipe"))?;
    let options = options(program, launch.permit.gpus().map(|place| core.gpus[place].id.as_str()), core.gpus.len());
    let spawn = Spawn { start: program.settings.start, options, control, stdout, stderr };
    let process = zygote.spawn(core.zygotes.next_worker(), spawn).await.map_err(failed("start a worker"))?;
    let mut worker = Worker {
        seat: launch.seat,
        _permit: launch.permit,
        commands: launch.commands,
        channel,
        process,
        output,
        outbox: VecDeque::new(),
        slots: Slots::new(Arc::clone(&core.memory), Arc::clone(&core.counts)),
        encoder: primed_encoder(program).map_err(failed("encode a schema"))?,
        reader: Reader::new(Arc::clone(&program.output), program.rows_mode(), launch.seat),
        flights: VecDeque::new(),
        held: VecDeque::new(),
        growth: None,
        short_since: None,
        next_seq: 1,
        last_result: 0,
        clock: Clock::new(limits(program), Instant::now()),
        phase: Phase::Starting,
        has_been_ready: false,
        core: Arc::clone(&core),
    };
    worker.greet().map_err(failed("tell a worker what to run"))?;
    Ok(worker)
}

impl Worker {
    fn greet(&mut self) -> io::Result<()> {
        let init = Init::new(&self.core.program, self.seat).map_err(io::Error::other)?;
        let (json, schema) = (init.json.len() as u64, init.input.len() as u64);
        let parts = [init.json, init.input, init.output, init.constants].map(Buffer::from_vec);
        let (mut region, file) = Region::create(parts.iter().map(Buffer::len).sum(), Direction::Input)?;
        region.write(&parts);
        self.send(ToWorker::Hello { json, schema }, Some(file));
        Ok(())
    }
}

fn limits(program: &Program) -> Limits {
    let settings = &program.settings;
    Limits { start: settings.start_timeout, call: settings.timeout, memory: settings.memory }
}

/// Returns an encoder that has told its schema already: batches follow without.
fn primed_encoder(program: &Program) -> io::Result<StreamEncoder> {
    let mut encoder = StreamEncoder::try_new(&program.input).map_err(io::Error::other)?;
    encoder.encode(&RecordBatch::new_empty(Arc::clone(&program.input))).map_err(io::Error::other)?;
    Ok(encoder)
}

fn options<'a>(program: &Program, granted: impl Iterator<Item = &'a str>, gpus: usize) -> SpawnOptions {
    let cpus = program.threads();
    let mut env: BTreeMap<_, _> = THREADS.iter().map(|name| ((*name).to_owned(), cpus.to_string())).collect();
    if gpus > 0 {
        // Empty where none was asked for: nobody uses a GPU that another worker was promised.
        let visible: Vec<_> = granted.collect();
        env.insert("CUDA_VISIBLE_DEVICES".to_owned(), visible.join(","));
        env.insert("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned());
    }
    let mut preload = Vec::new();
    for format in formats(program) {
        match format {
            BatchFormat::Pandas => preload.push("pandas".to_owned()),
            BatchFormat::Polars => preload.push("polars".to_owned()),
            BatchFormat::Numpy | BatchFormat::Pyarrow => {}
        }
    }
    SpawnOptions { env, preload, cpus }
}

fn formats(program: &Program) -> Vec<BatchFormat> {
    match &program.role {
        Role::Transform(code) => vec![code.batch_format],
        // What form it wants, it says when it is at work.
        Role::Training(_) => Vec::new(),
        Role::Functions { calls, .. } => calls.iter().map(|call| call.batch_format).collect(),
    }
}
