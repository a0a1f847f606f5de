//! QR codes: on the terminal in half blocks, and as PNG or SVG files of mode 0600.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anstream::{AutoStream, ColorChoice};
use anstyle::{Ansi256Color, Color, Style};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::error::Error;
use crate::files::CreatedFile;
use crate::terminal::{self, HeldSignals, Screen};

/// The light margin that the code should have, in modules (ISO/IEC 18004).
const MARGIN: usize = 4;
/// The least that readers were seen to do with, where the terminal has no room for more.
const LEAST_MARGIN: usize = 1;
/// The side of a module in a PNG or SVG file, in pixels.
const SCALE: usize = 8;

/// Black on white of the 256-colour palette, since the first 16 colours depend on the terminal's theme.
const BLACK_ON_WHITE: Style = Style::new()
    .fg_color(Some(Color::Ansi256(Ansi256Color(16))))
    .bg_color(Some(Color::Ansi256(Ansi256Color(231))));

/// A QR code.
pub(crate) struct Qr(QrCode);

impl Qr {
    /// The smallest code that holds the text.
    pub(crate) fn new(text: &str) -> Result<Qr, Error> {
        QrCode::with_error_correction_level(text, EcLevel::L)
            .map(Qr)
            .map_err(|error| Error::failed(format!("no QR code: {error}")))
    }

    /// The width in modules with such a margin.
    fn width(&self, margin: usize) -> usize {
        self.0.width() + 2 * margin
    }

    fn is_dark(&self, x: usize, y: usize, margin: usize) -> bool {
        let inside = margin..margin + self.0.width();
        inside.contains(&x)
            && inside.contains(&y)
            && self.0[(x - margin, y - margin)] == qrcode::Color::Dark
    }

    /// The code for standard output, two modules in a character, with as wide a margin as the
    /// terminal has room for above `below` more lines; and what to do if it has not enough. Where
    /// colours can be shown it is black on white whatever the background; where not, as if the
    /// background were dark.
    pub(crate) fn for_terminal(&self, screen: Option<Screen>, below: usize) -> String {
        let fits = |margin: &usize| {
            let width = self.width(*margin);
            screen.is_none_or(|screen| {
                width <= screen.columns && width.div_ceil(2) + below <= screen.rows
            })
        };
        match (LEAST_MARGIN..=MARGIN).rev().find(fits) {
            Some(margin) => self.drawn(margin),
            None => {
                let width = self.width(LEAST_MARGIN);
                format!(
                    "(The QR code takes a terminal of {width} columns and {} rows. Make this one \
                     larger, or\n--qr FILE saves the code as a picture.)\n",
                    width.div_ceil(2) + below
                )
            }
        }
    }

    fn drawn(&self, margin: usize) -> String {
        let coloured = AutoStream::choice(&std::io::stdout()) != ColorChoice::Never;
        let is_drawn = |x, y| self.is_dark(x, y, margin) == coloured;
        let mut text = String::new();
        for y in (0..self.width(margin)).step_by(2) {
            let row: String = (0..self.width(margin))
                .map(|x| match (is_drawn(x, y), is_drawn(x, y + 1)) {
                    (true, true) => '█',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (false, false) => ' ',
                })
                .collect();
            text += &format!("{BLACK_ON_WHITE}{row}{BLACK_ON_WHITE:#}\n");
        }
        text
    }

    /// The code for standard output by background colours alone, a module in two characters: for
    /// terminals that cannot show block elements.
    pub(crate) fn in_background_colours(&self) -> String {
        const DARK: &str = "\x1b[48;5;16m";
        const LIGHT: &str = "\x1b[48;5;231m";
        let mut text = String::new();
        for y in 0..self.width(MARGIN) {
            for x in 0..self.width(MARGIN) {
                text += if self.is_dark(x, y, MARGIN) {
                    DARK
                } else {
                    LIGHT
                };
                text += "  ";
            }
            text += "\x1b[0m\n";
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
        let side = self.width(MARGIN) * SCALE;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side as u32, side as u32);
        encoder.set_color(png::ColorType::Grayscale);
        let pixels: Vec<u8> = (0..side * side)
            .map(|at| (at % side / SCALE, at / side / SCALE))
            .map(|(x, y)| if self.is_dark(x, y, MARGIN) { 0 } else { 255 })
            .collect();
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(file)
    }
}

/// A PNG or SVG file of a QR code, removed on drop unless [`keep`](QrFile::keep) was called. Until
/// then signals are held, except while a question is open.
pub(crate) struct QrFile {
    path: PathBuf,
    file: CreatedFile,
    kept: bool,
    _hold: HeldSignals,
}

impl QrFile {
    /// Writes the code of a token of `user` to a new file, mode 0600, in the format that its name
    /// ends with.
    pub(crate) fn create(path: &Path, qr: &Qr, user: &OsStr) -> Result<QrFile, Error> {
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
        Ok(QrFile {
            path: path.to_owned(),
            file: CreatedFile::new(path, user, &bytes)?,
            kept: false,
            _hold: hold,
        })
    }

    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for QrFile {
    fn drop(&mut self) {
        if !self.kept {
            self.file.remove(&self.path);
        }
    }
}
