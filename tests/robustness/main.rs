//! What must hold under attack, in races, with faults, and over long lives.

mod caller;
mod constant_time;
mod crashes;
mod faults;
mod hostile;
mod long_lives;
mod panic;
mod races;
mod shared_object;
mod system_calls;
