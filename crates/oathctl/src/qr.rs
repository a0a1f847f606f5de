//! QR codes: on the terminal in half blocks, and as PNG or SVG files that only their owner reads.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anstream::{AutoStream, ColorChoice};
use anstyle::{Ansi256Color, Color, Style};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::error::Error;
use crate::files::Created;
use crate::terminal::{self, Hold};

/// The light margin that a reader needs around the code, in modules (ISO/IEC 18004).
const MARGIN: usize = 4;
/// How large a module is in a picture, in pixels.
const SCALE: usize = 8;

/// Black on white out of the 256 colours: the first 16 are whatever the terminal's theme says.
const INK: Style = Style::new()
    .fg_color(Some(Color::Ansi256(Ansi256Color(16))))
    .bg_color(Some(Color::Ansi256(Ansi256Color(231))));

pub struct Qr(QrCode);

impl Qr {
    /// The smallest code that holds the text.
    pub fn new(text: &str) -> Result<Qr, Error> {
        QrCode::with_error_correction_level(text, EcLevel::L)
            .map(Qr)
            .map_err(|error| Error::failed(format!("no QR code: {error}")))
    }

    /// The width in modules, margins included.
    fn width(&self) -> usize {
        self.0.width() + 2 * MARGIN
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = MARGIN..MARGIN + self.0.width();
        inside.contains(&x)
            && inside.contains(&y)
            && self.0[(x - MARGIN, y - MARGIN)] == qrcode::Color::Dark
    }

    /// The code for standard output, two modules in a character. Where colours can be shown it
    /// is black on white whatever the background; where not, as if the background were dark.
    pub fn for_terminal(&self) -> String {
        let coloured = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
        let is_drawn = |x, y| self.is_dark(x, y) == coloured;
        let mut text = String::new();
        for y in (0..self.width()).step_by(2) {
            let row: String = (0..self.width())
                .map(|x| match (is_drawn(x, y), is_drawn(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                })
                .collect();
            text += &format!("{INK}{row}{INK:#}\n");
        }
        text
    }

    fn to_svg(&self) -> Vec<u8> {
        self.0
            .render::<svg::Color>()
            .module_dimensions(SCALE as u32, SCALE as u32)
            .build()
            .into_bytes()
    }

    fn to_png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let side = self.width() * SCALE;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side as u32, side as u32);
        encoder.set_color(png::ColorType::Grayscale);
        let pixels: Vec<u8> = (0..side * side)
            .map(|at| (at % side / SCALE, at / side / SCALE))
            .map(|(x, y)| if self.is_dark(x, y) { 0 } else { 255 })
            .collect();
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(file)
    }
}

/// A picture of a QR code that is to be kept. Dropped before that, the file is taken away again;
/// a signal waits until it is decided, unless a question is open.
pub struct Picture {
    path: PathBuf,
    file: Created,
    kept: bool,
    _hold: Hold,
}

impl Picture {
    /// Writes the code of a token of `user` to a new file, mode 0600, in the format that its name
    /// ends with.
    pub fn create(path: &Path, qr: &Qr, user: &OsStr) -> Result<Picture, Error> {
        let failed = || format!("write {}", path.display());
        let bytes = match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => qr.to_png().map_err(Error::io(failed()))?,
            Some("svg") => qr.to_svg(),
            _ => {
                return Err(Error::usage(format!(
                    "{}: the name of a picture ends in .png or .svg",
                    path.display()
                )));
            }
        };
        let hold = terminal::hold_signals();
        Ok(Picture {
            path: path.to_owned(),
            file: Created::new(path, user, &bytes)?,
            kept: false,
            _hold: hold,
        })
    }

    pub fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        if !self.kept {
            self.file.remove(&self.path);
        }
    }
}
