//! An image of a QR code, PNG or JPEG: a photograph or picture of what an app or a page shows.

use std::io::Cursor;

use png::{ColorType, Transformations};
use rqrr::PreparedImage;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::migration;
use super::otpauth;
use super::token::ImportItem;
use super::{Format, Source};

/// The most pixels that are looked at, more than a phone's screen or camera has. A small file can
/// say that it is an image of any size.
const MAX_PIXELS: usize = 25_000_000;

pub(super) struct QrImage;

/// How bright each pixel is, row by row.
struct Grey {
    width: usize,
    pixels: Vec<u8>,
}

impl Format for QrImage {
    fn recognises(&self, source: &Source) -> bool {
        is_png(source.bytes) || is_jpeg(source.bytes)
    }

    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String> {
        let grey = match is_png(source.bytes) {
            true => png(source.bytes)?,
            false => jpeg(source.bytes)?,
        };
        let mut texts = grey.qr_codes(false);
        if texts.is_empty() {
            // Light on dark, as some apps show it at night.
            texts = grey.qr_codes(true);
        }
        if texts.is_empty() {
            return Err(
                "is an image in which no QR code was found; crop it, or take one straight on"
                    .into(),
            );
        }
        // The text of another code is nobody's business, and may be anything.
        if !texts.iter().any(|text| otpauth::is_uri(text)) {
            return Err("is an image of a QR code of something else than a token".into());
        }
        let mut parts: Vec<_> = (1..)
            .zip(&texts)
            .map(|(number, text)| otpauth::uri(format!("QR code {number}"), text.trim()))
            .collect();
        migration::remark_missing(&mut parts);
        Ok(parts.into_iter().flat_map(|part| part.items).collect())
    }
}

fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
}

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xd8\xff")
}

fn checked_size(width: usize, height: usize) -> Result<usize, String> {
    match width.checked_mul(height) {
        Some(pixels @ 1..=MAX_PIXELS) => Ok(pixels),
        _ => Err(format!(
            "is an image of {width} by {height} pixels; {MAX_PIXELS} pixels are looked at"
        )),
    }
}

fn png(bytes: &[u8]) -> Result<Grey, String> {
    const BROKEN: &str = "is a PNG image that breaks off or is malformed";
    let limits = png::Limits {
        bytes: 4 * MAX_PIXELS,
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|_| BROKEN)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    checked_size(width, height)?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or(BROKEN)?];
    let frame = reader.next_frame(&mut buffer).map_err(|_| BROKEN)?;
    let samples = &buffer[..frame.buffer_size()];
    let brightness = |rgb: &[u8]| {
        let sum: u32 = rgb.iter().map(|&byte| u32::from(byte)).sum();
        (sum / rgb.len() as u32) as u8
    };
    // What is transparent is shown on white.
    let on_white = |grey: u8, alpha: u8| {
        let alpha = u32::from(alpha);
        ((u32::from(grey) * alpha + 255 * (255 - alpha)) / 255) as u8
    };
    let pixels = match frame.color_type {
        ColorType::Grayscale | ColorType::Indexed => samples.to_vec(),
        ColorType::GrayscaleAlpha => samples
            .chunks_exact(2)
            .map(|pixel| on_white(pixel[0], pixel[1]))
            .collect(),
        ColorType::Rgb => samples.chunks_exact(3).map(brightness).collect(),
        ColorType::Rgba => samples
            .chunks_exact(4)
            .map(|pixel| on_white(brightness(&pixel[..3]), pixel[3]))
            .collect(),
    };
    Ok(Grey { width, pixels })
}

fn jpeg(bytes: &[u8]) -> Result<Grey, String> {
    const BROKEN: &str = "is a JPEG image that breaks off or is malformed";
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|_| BROKEN)?;
    let (width, height) = decoder.dimensions().ok_or(BROKEN)?;
    checked_size(width, height)?;
    let pixels = decoder.decode().map_err(|_| BROKEN)?;
    Ok(Grey { width, pixels })
}

impl Grey {
    /// The text of every QR code that can be read.
    fn qr_codes(&self, is_inverted: bool) -> Vec<String> {
        let height = self.pixels.len() / self.width;
        let pixel = |x: usize, y: usize| match self.pixels[y * self.width + x] {
            grey if is_inverted => 255 - grey,
            grey => grey,
        };
        let mut image = PreparedImage::prepare_from_greyscale(self.width, height, pixel);
        let grids = image.detect_grids();
        grids
            .iter()
            .filter_map(|grid| grid.decode().ok())
            .map(|(_, text)| text)
            .collect()
    }
}
