//! Logos of managed clients: small pictures that can't run anything.

use imagesize::{ImageType, blob_size, image_type};
use oauth::id::ClientId;

use crate::admin::{Admin, AdminError, Unknown};

/// The largest logo, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The shortest and the longest side, in pixels: enough to be seen, and no more than is decoded in no time.
const SIDES: std::ops::RangeInclusive<usize> = 16..=1024;

/// The media type of a picture, judged by its content. PNG, JPEG and WebP only: an SVG is a program.
///
/// # Errors
/// A sentence for the person, when it can't be a logo.
pub fn judge(content: &[u8]) -> Result<&'static str, String> {
    const WANTED: &str = "send a PNG, JPEG or WebP picture";
    if content.len() > MAX_BYTES {
        return Err(format!("the picture is larger than {MAX_BYTES} bytes"));
    }
    let kind = match image_type(content) {
        Ok(ImageType::Png) => "image/png",
        Ok(ImageType::Jpeg) => "image/jpeg",
        Ok(ImageType::Webp) => "image/webp",
        Ok(_) | Err(_) => return Err(format!("this is no picture of a known kind; {WANTED}")),
    };
    let size = blob_size(content).map_err(|_| format!("the picture is broken; {WANTED}"))?;
    if SIDES.contains(&size.width) && SIDES.contains(&size.height) {
        Ok(kind)
    } else {
        let (least, most) = (SIDES.start(), SIDES.end());
        Err(format!("the picture is {}x{}; each side must have {least} to {most} pixels", size.width, size.height))
    }
}

/// The logo of a client: its media type and content.
///
/// # Errors
/// When it has none, or the store fails.
pub async fn show(admin: &Admin<'_>, id: &ClientId) -> Result<(String, Vec<u8>), AdminError> {
    Ok(admin.store.find_logo(id).await?.ok_or_else(|| Unknown::Logo(id.clone()))?)
}

/// Sets the logo of a managed client, to a picture that was judged to be of this media type.
///
/// # Errors
/// When there is no such managed client, or the store fails.
pub async fn set(admin: &Admin<'_>, id: &ClientId, media_type: &'static str, content: &[u8]) -> Result<(), AdminError> {
    if !admin.store.put_logo(id, media_type, content, admin.now).await? {
        return Err(Unknown::ManagedClient(id.clone()).into());
    }
    admin.did("logo set", id.as_str());
    Ok(())
}

/// Removes the logo of a client.
///
/// # Errors
/// When it has none, or the store fails.
pub async fn remove(admin: &Admin<'_>, id: &ClientId) -> Result<(), AdminError> {
    if !admin.store.delete_logo(id).await? {
        return Err(Unknown::Logo(id.clone()).into());
    }
    admin.did("logo removed", id.as_str());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;

    /// The beginning of a PNG of this size: all that is looked at.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 6, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    /// judged by content, never by what it is called; never anything that runs.
    #[test]
    fn only_small_pictures_are_logos() {
        assert_eq!(judge(&png(16, 1024)), Ok("image/png"));
        for (bad, word) in [
            (png(15, 64), "16 to 1024"),
            (png(64, 1025), "16 to 1024"),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "PNG, JPEG or WebP"),
            (b"GIF89a\x40\0\x40\0".to_vec(), "PNG, JPEG or WebP"),
            (b"\x89PNG\r\n\x1a\n".to_vec(), "picture"),
            (Vec::new(), "picture"),
            ([png(64, 64), vec![0; 70_000]].concat(), "larger"),
        ] {
            let words = judge(&bad).unwrap_err();
            assert!(words.contains(word), "{words}");
        }
    }
}
