package magichourtest

import (
	"bytes"
	_ "embed"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"math"
	"slices"
)

// One second of a test picture, 160x90, 10 frames a second. Made by
//
//	ffmpeg -f lavfi -i testsrc=size=160x90:rate=10:duration=1 -map_metadata -1 -fflags +bitexact -flags:v +bitexact
//
// with -c:v libx264 -preset veryslow -crf 40 -pix_fmt yuv420p -movflags +faststart
// -x264-params no-info=1 -bsf:v filter_units=remove_types=6 for the MP4, and with
// -c:v libvpx -b:v 20k -crf 60 for the WebM.
var (
	//go:embed testdata/tiny.mp4
	tinyMP4 []byte
	//go:embed testdata/tiny.webm
	tinyWebM []byte
)

// padding is how many seeded bytes make a video differ from all others.
const padding = 256

// mp4 ends in a box that every player skips.
func mp4(n noise) []byte {
	box := binary.BigEndian.AppendUint32(nil, 8+padding)
	return slices.Concat(tinyMP4, box, []byte("free"), n.first(padding))
}

// webm ends in an element that every player skips: its id, the size in two bytes, the
// content. It lies within the segment, which has an id of four bytes and a size of eight.
func webm(n noise) []byte {
	void := append([]byte{0xEC, 0x40 | padding>>8, padding & 0xFF}, n.first(padding)...)
	file := slices.Concat(tinyWebM, void)
	size := file[bytes.Index(file, []byte{0x18, 0x53, 0x80, 0x67})+4:]
	binary.BigEndian.PutUint64(size, binary.BigEndian.Uint64(size)+uint64(len(void)))
	return file
}

// picture is a PNG of eight by eight coloured tiles.
func picture(n noise) []byte {
	const tiles, size = 8, 8
	colours := n.first(3 * tiles * tiles)
	img := image.NewNRGBA(image.Rect(0, 0, tiles*size, tiles*size))
	for y := range tiles * size {
		for x := range tiles * size {
			c := colours[3*(y/size*tiles+x/size):]
			img.SetNRGBA(x, y, color.NRGBA{c[0], c[1], c[2], 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err) // a buffer takes everything
	}
	return out.Bytes()
}

// animation is a GIF of a bar that wanders, in seeded colours.
func animation(n noise) []byte {
	const frames, size = 4, 32
	c := n.first(3 * frames)
	palette := color.Palette{}
	for i := range frames {
		palette = append(palette, color.NRGBA{c[3*i], c[3*i+1], c[3*i+2], 255})
	}
	film := &gif.GIF{}
	for i := range frames {
		img := image.NewPaletted(image.Rect(0, 0, size, size), palette)
		for p := range img.Pix {
			if p%size/(size/frames) == i {
				img.Pix[p] = byte(1 + i%(frames-1))
			}
		}
		film.Image, film.Delay = append(film.Image, img), append(film.Delay, 10)
	}
	var out bytes.Buffer
	if err := gif.EncodeAll(&out, film); err != nil {
		panic(err) // a buffer takes everything
	}
	return out.Bytes()
}

// tone is half a second of WAV, mono, 16 bits at 8 kHz: a seeded pitch with a little hiss,
// without which two could be equal.
func tone(n noise) []byte {
	const rate, samples = 8000, 4000
	hiss := n.first(samples)
	pitch := 220 + 3*float64(hiss[0])
	header := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, 36+2*samples)...)
	header = append(header, "WAVEfmt "...)
	for _, field := range []any{uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16)} {
		header, _ = binary.Append(header, binary.LittleEndian, field)
	}
	out := append(header, "data"...)
	out = binary.LittleEndian.AppendUint32(out, 2*samples)
	for i, h := range hiss {
		level := 8000*math.Sin(2*math.Pi*pitch*float64(i)/rate) + float64(h)
		out, _ = binary.Append(out, binary.LittleEndian, int16(level))
	}
	return out
}
