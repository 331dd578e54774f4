// SPDX-License-Identifier: BSD-2-Clause
//! The counterpart of ram-sim.c with rust-vmm's vm-memory: the same 256 ranges, the same addresses,
//! batches of the same size. Prints lines "ram vm-memory.NAME NANOSECONDS", the batches' lower
//! quartiles.

use std::sync::atomic::{compiler_fence, Ordering};
use std::time::Instant;
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap};

const BASE: u64 = 4 << 30;
const TOTAL: u64 = 64 << 20;
const REGIONS: u64 = 256;
const STRIDE: u64 = 4 << 20;
const BATCHES: usize = 40;
const HOT: u64 = 1024;

#[repr(align(4096))]
struct Buffer([u8; 64 << 10]);

struct Place {
    /// Addresses come from so many bytes of each range.
    spread: u64,
    memory: GuestMemoryMmap<()>,
    seed: u64,
    buffer: Box<Buffer>,
}

impl Place {
    fn next(&mut self, size: u64) -> GuestAddress {
        self.seed = self
            .seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let r = self.seed;
        let words = (self.spread - size) / 8 + 1;
        let offset = ((r >> 24 & 0xffff_ffff) * words >> 32) * 8;
        GuestAddress(BASE + (r >> 56 & (REGIONS - 1)) * STRIDE + offset)
    }
}

fn load(p: &mut Place, size: usize, n: u64) {
    let mut wrong = 0;
    for _ in 0..n {
        let at = p.next(size as u64);
        let value: u64 = p.memory.load(at, Ordering::Acquire).unwrap();
        wrong |= value ^ at.0;
    }
    assert_eq!(wrong, 0);
}

fn read_obj(p: &mut Place, size: usize, n: u64) {
    let mut wrong = 0;
    for _ in 0..n {
        let at = p.next(size as u64);
        let value: u64 = p.memory.read_obj(at).unwrap();
        wrong |= value ^ at.0;
    }
    assert_eq!(wrong, 0);
}

fn find_region(p: &mut Place, size: usize, n: u64) {
    for _ in 0..n {
        let at = p.next(size as u64);
        assert!(p.memory.find_region(at).is_some());
        compiler_fence(Ordering::SeqCst);
    }
}

fn read_slice(p: &mut Place, size: usize, n: u64) {
    for _ in 0..n {
        let at = p.next(size as u64);
        p.memory.read_slice(&mut p.buffer.0[..size], at).unwrap();
        compiler_fence(Ordering::SeqCst);
    }
}

fn write_slice(p: &mut Place, size: usize, n: u64) {
    for _ in 0..n {
        let at = p.next(size as u64);
        p.memory.write_slice(&p.buffer.0[..size], at).unwrap();
    }
}

struct Job {
    name: &'static str,
    run: fn(&mut Place, usize, u64),
    size: usize,
    n: u64,
}

const READING: [Job; 4] = [
    Job { name: "load", run: load, size: 8, n: 4000 },
    Job { name: "read_obj", run: read_obj, size: 8, n: 4000 },
    Job { name: "read512", run: read_slice, size: 512, n: 2000 },
    Job { name: "read64k", run: read_slice, size: 64 << 10, n: 100 },
];
const HOT_READING: [Job; 4] = [
    Job { name: "load.hot", run: load, size: 8, n: 10000 },
    Job { name: "read_obj.hot", run: read_obj, size: 8, n: 10000 },
    Job { name: "find_region.hot", run: find_region, size: 8, n: 10000 },
    Job { name: "read512.hot", run: read_slice, size: 512, n: 10000 },
];
const WRITING: [Job; 2] = [
    Job { name: "write512", run: write_slice, size: 512, n: 2000 },
    Job { name: "write64k", run: write_slice, size: 64 << 10, n: 100 },
];

fn batch(p: &mut Place, job: &Job) -> f64 {
    let start = Instant::now();
    (job.run)(p, job.size, job.n);
    start.elapsed().as_nanos() as f64 / job.n as f64
}

/// Each job's batches in turns with the others'.
fn run(p: &mut Place, jobs: &[Job]) {
    let mut ns = vec![Vec::new(); jobs.len()];
    for job in jobs {
        batch(p, job);
    }
    for _ in 0..BATCHES {
        for (figures, job) in ns.iter_mut().zip(jobs) {
            figures.push(batch(p, job));
        }
    }
    for (figures, job) in ns.iter_mut().zip(jobs) {
        figures.sort_by(f64::total_cmp);
        println!("ram vm-memory.{} {:.2}", job.name, figures[BATCHES / 4]);
    }
}

fn main() {
    // As ram-sim.c: no large pages.
    // SAFETY: takes no pointers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) }, 0);
    let ranges: Vec<_> = (0..REGIONS)
        .map(|r| (GuestAddress(BASE + r * STRIDE), (TOTAL / REGIONS) as usize))
        .collect();
    let memory = GuestMemoryMmap::from_ranges(&ranges).unwrap();
    for &(start, length) in &ranges {
        for offset in (0..length as u64).step_by(8) {
            let at = start.0 + offset;
            memory.write_obj(at, GuestAddress(at)).unwrap();
        }
    }
    let mut place = Place {
        memory,
        spread: TOTAL / REGIONS,
        seed: 1,
        buffer: Box::new(Buffer([0; 64 << 10])),
    };
    run(&mut place, &READING);
    place.spread = HOT;
    run(&mut place, &HOT_READING);
    place.spread = TOTAL / REGIONS;
    run(&mut place, &WRITING);
}
