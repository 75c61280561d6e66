//! A node as a native program: the floor beside which `benches/` puts the sandbox.
//!
//! `datanode-native NODE INPUTS` reads what the node is answered from a file, then calls its `update` once for each line of
//! standard input, and answers nanoseconds and emitted bytes. The file is that of `benches/src/determinism/inputs.rs`: the
//! config, then the messages of each frame in the order in which frames are opened, then bodies in the order of requests.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::Instant;

use datanode_sdk::host::{Host, Messages, RawResponse};
use datanode_sdk::prelude::*;
use datanode_sdk::sources::{BodySource, Request};
use datanode_sdk::testing::update_on;
use datanode_sdk::{HostError, Query};

/// All that a node is answered.
struct Inputs {
    config: String,
    frames: Vec<Vec<Vec<u8>>>,
    bodies: Vec<Vec<u8>>,
}

/// Reads lengths and what has them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Result<usize, Box<dyn Error>> {
        let (number, rest) = self.0.split_first_chunk().ok_or("the file of inputs is cut off")?;
        self.0 = rest;
        Ok(usize::try_from(u64::from_le_bytes(*number))?)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Box<dyn Error>> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("the file of inputs is cut off")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Box<dyn Error>>,
    ) -> Result<Vec<T>, Box<dyn Error>> {
        (0..self.number()?).map(|_| one(self)).collect()
    }

    fn inputs(mut self) -> Result<Inputs, Box<dyn Error>> {
        Ok(Inputs {
            config: String::from_utf8(self.bytes()?.to_vec())?,
            frames: self.list(|file| file.list(|file| Ok(file.bytes()?.to_vec())))?,
            bodies: self.list(|file| Ok(file.bytes()?.to_vec()))?,
        })
    }
}

/// Answers one call of `update`.
struct Answers {
    inputs: Rc<Inputs>,
    opened: Cell<usize>,
    fetched: Cell<usize>,
    emitted: RefCell<u64>,
}

/// The frame of this number, from this message on.
struct Frame {
    inputs: Rc<Inputs>,
    number: usize,
    next: usize,
}

/// The body of this number, from this byte on.
struct Body {
    inputs: Rc<Inputs>,
    number: usize,
    read: usize,
}

impl Host for Answers {
    fn open(&self, _: &str, _: Query) -> Result<Box<dyn Messages>, HostError> {
        // One that is opened once more is read again.
        let number = self.opened.replace(self.opened.get() + 1) % self.inputs.frames.len();
        Ok(Box::new(Frame { inputs: Rc::clone(&self.inputs), number, next: 0 }))
    }

    fn emit(&self, message: &[u8]) {
        *self.emitted.borrow_mut() += std::hint::black_box(message).len() as u64;
    }

    fn fetch(&self, _: Request) -> Result<RawResponse, HostError> {
        let number = self.fetched.replace(self.fetched.get() + 1);
        let body = Body { inputs: Rc::clone(&self.inputs), number, read: 0 };
        Ok(RawResponse { status: 200, headers: Vec::new(), body: Box::new(body) })
    }

    fn option(&self, _: &str) -> Option<String> {
        None
    }
}

impl Messages for Frame {
    fn schema(&mut self) -> Vec<u8> {
        self.next().unwrap_or_default()
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let message = self.inputs.frames.get(self.number)?.get(self.next)?;
        self.next += 1;
        Some(message.clone())
    }
}

impl BodySource for Body {
    fn read(&mut self, max: u32) -> Option<Vec<u8>> {
        let rest = self.inputs.bodies.get(self.number)?.get(self.read..)?;
        let piece = &rest[..rest.len().min(max as usize)];
        self.read += piece.len();
        (!piece.is_empty()).then(|| piece.to_vec())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(node), Some(file)) = (words.next(), words.next()) else {
        return Err("this program is started by the benches: datanode-native NODE INPUTS".into());
    };
    let file = std::fs::read(file)?;
    let inputs = Rc::new(Reader(&file).inputs()?);
    let update = match node.as_str() {
        "column_arithmetic" => update_on::<column_arithmetic::ColumnArithmetic>,
        "ecb_daily_fx_rates" => update_on::<ecb_daily_fx_rates::EcbDailyFxRates>,
        "fx_log_returns" => update_on::<fx_log_returns::FxLogReturns>,
        "fx_rolling_volatility" => update_on::<fx_rolling_volatility::FxRollingVolatility>,
        other => return Err(format!("no node `{other}`").into()),
    };
    for line in std::io::stdin().lock().lines() {
        line?;
        let answers = Rc::new(Answers {
            inputs: Rc::clone(&inputs),
            opened: Cell::new(0),
            fetched: Cell::new(0),
            emitted: RefCell::new(0),
        });
        let begun = Instant::now();
        let result = update(Rc::clone(&answers) as Rc<_>, &inputs.config);
        let took = begun.elapsed().as_nanos();
        result.map_err(|error: NodeError| error.to_string())?;
        println!("{took} {}", answers.emitted.borrow());
        std::io::stdout().flush()?;
    }
    Ok(())
}
