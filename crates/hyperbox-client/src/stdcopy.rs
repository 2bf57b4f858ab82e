// SPDX-License-Identifier: MIT
//! Takes multiplexed output apart: the frames of [`hyperbox_types::stream`].

use std::io::{self, BufReader, Read, Write};

use hyperbox_types::stream::{Channel, HEADER_LEN, parse_header};

/// How much is read and handed on at once.
const BUFFER: usize = 32 * 1024;

/// Reads frames; a frame longer than the buffer is handed out in pieces.
#[derive(Debug)]
pub struct Demultiplexer<R> {
    reader: BufReader<R>,
    channel: Channel,
    left: usize,
    buffer: Vec<u8>,
}

impl<R: Read> Demultiplexer<R> {
    /// Wraps a stream of frames.
    pub fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            channel: Channel::Stdout,
            left: 0,
            buffer: vec![0; BUFFER],
        }
    }

    /// Returns the next bytes and their channel; `None` at the end of the stream between two frames.
    ///
    /// # Errors
    /// `InvalidData` for an unknown channel, `UnexpectedEof` when the stream ends inside a frame.
    pub fn next_piece(&mut self) -> io::Result<Option<(Channel, &[u8])>> {
        while self.left == 0 {
            match self.next_header()? {
                None => return Ok(None),
                Some((channel, length)) => {
                    self.channel = channel;
                    self.left = length;
                    if length == 0 {
                        return Ok(Some((channel, &[])));
                    }
                }
            }
        }
        let wanted = self.left.min(self.buffer.len());
        let count = read_some(&mut self.reader, &mut self.buffer[..wanted])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the output ends inside a frame",
            ));
        }
        self.left -= count;
        Ok(Some((self.channel, &self.buffer[..count])))
    }

    /// Returns the bytes of the piece that was just read, when the first borrow of them had to end.
    pub(crate) fn last_piece(&self, length: usize) -> &[u8] {
        &self.buffer[..length.min(self.buffer.len())]
    }

    /// Tells whether the piece that was just returned ends its frame.
    pub fn at_frame_end(&self) -> bool {
        self.left == 0
    }

    fn next_header(&mut self) -> io::Result<Option<(Channel, usize)>> {
        let mut header = [0; HEADER_LEN];
        let mut filled = 0;
        while filled < HEADER_LEN {
            match read_some(&mut self.reader, &mut header[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the output ends inside a frame header",
                    ));
                }
                count => filled += count,
            }
        }
        let (channel, length) = parse_header(header).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the output has an unknown channel {}", header[0]),
            )
        })?;
        Ok(Some((channel, usize::try_from(length).unwrap_or(usize::MAX))))
    }
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Copies a whole multiplexed stream to two writers.
///
/// # Errors
/// What reading or writing gives, and the daemon's own text when it reports an error inside the stream.
pub fn demultiplex(reader: impl Read, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<()> {
    let mut frames = Demultiplexer::new(reader);
    let mut failure = Vec::new();
    while let Some((channel, bytes)) = frames.next_piece()? {
        match channel {
            Channel::Stdout | Channel::Stdin => {
                stdout.write_all(bytes)?;
                stdout.flush()?;
            }
            Channel::Stderr => {
                stderr.write_all(bytes)?;
                stderr.flush()?;
            }
            Channel::SystemError => {
                failure.extend_from_slice(bytes);
                if frames.at_frame_end() || failure.len() > BUFFER {
                    let text = String::from_utf8_lossy(&failure).into_owned();
                    return Err(io::Error::other(format!("error from daemon in stream: {text}")));
                }
            }
            Channel::Control => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyperbox_types::stream::header;

    use super::*;

    fn frame(channel: Channel, bytes: &[u8]) -> Vec<u8> {
        let mut frame = header(channel, u32::try_from(bytes.len()).unwrap()).to_vec();
        frame.extend_from_slice(bytes);
        frame
    }

    #[test]
    fn streams_are_separated() {
        let big = vec![b'x'; 100_000];
        let input = [
            frame(Channel::Stdout, b"out"),
            frame(Channel::Stderr, b"err"),
            frame(Channel::Stdout, &big),
        ]
        .concat();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        demultiplex(&input[..], &mut stdout, &mut stderr).unwrap();
        assert_eq!(stdout.len(), 100_003);
        assert_eq!(stderr, b"err");
    }

    #[test]
    fn broken_streams_are_errors() {
        let mut sink = io::sink();
        let mut other = io::sink();
        let cut = &frame(Channel::Stdout, b"hello")[..10];
        assert_eq!(
            demultiplex(cut, &mut sink, &mut other).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(
            demultiplex(&[9, 0, 0, 0, 0, 0, 0, 1, 0][..], &mut sink, &mut other)
                .unwrap_err()
                .kind(),
            io::ErrorKind::InvalidData
        );
        let failure = demultiplex(&frame(Channel::SystemError, b"boom")[..], &mut sink, &mut other).unwrap_err();
        assert!(failure.to_string().ends_with("boom"));
    }
}
