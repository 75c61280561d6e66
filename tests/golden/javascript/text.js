// The two globals that QuickJS does not have and the Arrow library looks for. UTF-8 only.

class Utf8Decoder {
    decode(bytes) {
        let text = "";
        for (let at = 0; at < bytes.length; ) {
            const first = bytes[at++];
            let more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
            let point = more === 0 ? first : first & (0x3f >> more);
            while (more-- > 0) point = (point << 6) | (bytes[at++] & 0x3f);
            text += String.fromCodePoint(point);
        }
        return text;
    }
}

class Utf8Encoder {
    encode(text) {
        const bytes = [];
        for (const character of text) {
            const point = character.codePointAt(0);
            if (point < 0x80) bytes.push(point);
            else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
            else if (point < 0x10000)
                bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
            else
                bytes.push(
                    0xf0 | (point >> 18),
                    0x80 | ((point >> 12) & 0x3f),
                    0x80 | ((point >> 6) & 0x3f),
                    0x80 | (point & 0x3f),
                );
        }
        return new Uint8Array(bytes);
    }
}

globalThis.TextDecoder ??= Utf8Decoder;
globalThis.TextEncoder ??= Utf8Encoder;
